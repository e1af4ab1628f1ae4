/** A dialog on the browser's own <dialog>: focus, Escape and what is behind it are the browser's. */
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
}

export function Dialog({ title, isOpen, onClose, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    if (isOpen && !dialog.current?.open) dialog.current?.showModal();
    if (!isOpen && dialog.current?.open) dialog.current.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby={titleId} onClose={onClose}>
      {isOpen && (
        <>
          <header class="dialog-head">
            <h2 id={titleId}>{title}</h2>
            <button type="button" class="icon-button" aria-label={t("close")} onClick={onClose}>
              <IconClose />
            </button>
          </header>
          <div class="dialog-body">{children}</div>
          {actions && <footer class="dialog-foot">{actions}</footer>}
        </>
      )}
    </dialog>
  );
}

export interface ConfirmProps {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  /** Done on yes; the dialog stays, busy, until it settles, and closes where it did not throw. */
  onConfirm: () => Promise<void>;
  confirmLabel?: string;
  isDangerous?: boolean;
  children: ComponentChildren;
}

/** Ask before something that cannot be taken back. */
export function Confirm(props: ConfirmProps) {
  const isBusy = useSignal(false);
  const confirm = async () => {
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
