/**
 * A dialog on the browser's own <dialog>: focus, Escape and what is behind it are the browser's. The browser's way back
 * closes it, too, and leaves the page as it was.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../i18n";
import { IconClose } from "./icons";

export interface DialogProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ComponentChildren;
  /** The buttons at its end. */
  actions?: ComponentChildren;
  /** Whether the address says that it is open, so that the way back closes it by the address. */
  isInAddress?: boolean;
  /** Whether it closes by what stands in it only: not by Escape, nor by the way back. */
  mustAnswer?: boolean;
}

export function Dialog(props: DialogProps) {
  const { title, isOpen, onClose, children, actions, isInAddress = false, mustAnswer = false } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    if (isOpen && !dialog.current?.open) dialog.current?.showModal();
    if (!isOpen && dialog.current?.open) dialog.current.close();
  }, [isOpen]);
  useWayBack(isOpen && !isInAddress && !mustAnswer, onClose);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby={titleId}
      onCancel={(event) => mustAnswer && event.preventDefault()}
      onClose={() => {
        if (!mustAnswer) onClose();
        // A browser lets nobody keep a reader from closing a dialog for long.
        else if (isOpen) dialog.current?.showModal();
      }}
    >
      {isOpen && (
        <>
          <header class="dialog-head">
            <h2 id={titleId}>{title}</h2>
            {!mustAnswer && (
              <button type="button" class="icon-button" aria-label={t("close")} onClick={onClose}>
                <IconClose />
              </button>
            )}
          </header>
          <div class="dialog-body">{children}</div>
          {actions && <footer class="dialog-foot">{actions}</footer>}
        </>
      )}
    </dialog>
  );
}

let opened = 0;

/** Put a step of the same address on the way back while something is open: who goes back closes it. */
function useWayBack(isOpen: boolean, onClose: () => void): void {
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    if (!isOpen) return;
    const step = `dialog ${++opened}`;
    history.pushState({ step }, "");
    const gone = () => {
      if (!isAt(step)) close.current();
    };
    addEventListener("popstate", gone);
    return () => {
      removeEventListener("popstate", gone);
      // What comes after it, another address or another dialog, has its own step by then.
      setTimeout(() => {
        if (isAt(step)) history.back();
      });
    };
  }, [isOpen]);
}

function isAt(step: string): boolean {
  return history.state?.step === step;
}

export interface ConfirmProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  /** Done on yes, once; the dialog stays, busy, until it settles, and closes where it did not throw. */
  onConfirm: () => Promise<void>;
  confirmLabel?: string;
  isDangerous?: boolean;
  children: ComponentChildren;
}

/** Ask before something that cannot be taken back. */
export function Confirm(props: ConfirmProps) {
  const isBusy = useSignal(false);
  const confirm = async () => {
    // The second click of a double one comes before the button is drawn anew.
    if (isBusy.value) return;
    isBusy.value = true;
    try {
      await props.onConfirm();
      props.onClose();
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog
      title={props.title}
      isOpen={props.isOpen}
      onClose={props.onClose}
      actions={
        <>
          <button type="button" class="button" onClick={props.onClose}>
            {t("cancel")}
          </button>
          <button
            type="button"
            class={props.isDangerous ? "button button-danger" : "button button-primary"}
            disabled={isBusy.value}
            onClick={() => void confirm().catch(() => undefined)}
          >
            {props.confirmLabel ?? t("confirm")}
          </button>
        </>
      }
    >
      {props.children}
    </Dialog>
  );
}
