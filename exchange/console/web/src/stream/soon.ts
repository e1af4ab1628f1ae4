/**
 * Many calls of one moment are one: what is planned happens `ms` after the first of them, however many follow. So steady
 * calls never put it off.
 */
export class Soon {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly ms: number,
    readonly then: () => void,
  ) {}

  plan(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.then();
    }, this.ms);
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
