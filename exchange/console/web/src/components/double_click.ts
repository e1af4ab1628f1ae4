/**
 * Who double-clicks a button that does something means it once: the second click does nothing, wherever the first one has
 * led meanwhile. The browser counts the clicks, so that two clicks with a pause between are two.
 */
const DOING = "button[type=submit], .button-primary, .button-danger";

export function ignoreSecondClicks(): void {
  document.addEventListener(
    "click",
    (event) => {
      if (event.detail < 2 || !(event.target instanceof Element)) return;
      if (event.target.closest(DOING) === null) return;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true },
  );
}
