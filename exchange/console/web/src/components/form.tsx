/**
 * Forms: each field has its label, hint and fault tied to it; faults of no field stand above all of them.
 *
 * A `Problem` names fields by pointer, and `Field` is given the one it stands for. After a refused try the first field
 * with a fault has the focus.
 */
import type { ComponentChildren, JSX } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useId, useRef } from "preact/hooks";
import { faultText, type Problem } from "../api/problem";
import { t } from "../i18n";
import { classes } from "./classes";

interface Around {
  problem: Problem | null;
  pointers: Set<string>;
}

const FormContext = createContext<Around>({ problem: null, pointers: new Set() });

export interface FormProps {
  /** Names the form to screen readers. */
  label: string;
  problem: Problem | null;
  onSubmit: () => void;
  children: ComponentChildren;
}

export function Form({ label, problem, onSubmit, children }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  const around = useRef<Around>({ problem, pointers: new Set() });
  around.current = { problem, pointers: around.current.pointers };
  useEffect(() => {
    if (problem === null) return;
    // A dialog that asked before the try closes first: behind it nothing can have the focus.
    const soon = setTimeout(() => {
      const faulty = form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
      (faulty ?? form.current?.querySelector<HTMLElement>(".form-problem"))?.focus();
    });
    return () => clearTimeout(soon);
  }, [problem]);
  return (
    <FormContext.Provider value={around.current}>
      <form
        ref={form}
        class="form"
        aria-label={label}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        {problem && <FormProblem problem={problem} pointers={around.current.pointers} />}
        {children}
      </form>
    </FormContext.Provider>
  );
}

function FormProblem({ problem, pointers }: { problem: Problem; pointers: Set<string> }) {
  const beside = problem.faultsBeside([...pointers]);
  const count = problem.faults.length - beside.length;
  return (
    <div class="form-problem notice notice-bad" role="alert" tabIndex={-1}>
      <div>
        <strong>{count > 0 ? t("faults", { count }) : problem.text}</strong>
        {beside.length > 0 && (
          <ul>
            {beside.map((fault) => (
              <li key={fault.pointer + fault.code}>
                {fault.pointer && <code>{fault.pointer}</code>} {faultText(fault)}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

/** What a control needs to be tied to its label, hint and fault: spread it over an input or select. */
export interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": boolean;
}

export interface FieldProps {
  label: string;
  /** Where a problem's faults point: `/quantity_gpus`. */
  pointer?: string;
  hint?: ComponentChildren;
  /** A fault that was found here already. */
  fault?: string | null;
  unit?: string;
  children: (control: ControlProps) => JSX.Element;
}

/** Let a group of controls that is no `Field` show the faults of a pointer itself. */
export function usePointer(pointer: string | undefined): void {
  const { pointers } = useContext(FormContext);
  useEffect(() => {
    if (pointer === undefined) return;
    pointers.add(pointer);
    return () => {
      pointers.delete(pointer);
    };
  }, [pointer, pointers]);
}

export function Field({ label, pointer, hint, fault, unit, children }: FieldProps) {
  const id = useId();
  const { problem } = useContext(FormContext);
  usePointer(pointer);
  const told = fault ?? (pointer !== undefined ? problem?.faultAt(pointer) : null) ?? null;
  const describedBy = classes(hint !== undefined && `${id}-hint`, told !== null && `${id}-fault`);
  return (
    <div class={classes("field", told !== null && "field-faulty")}>
      <label for={id}>{label}</label>
      <div class="control">
        {children({ id, "aria-describedby": describedBy || undefined, "aria-invalid": told !== null })}
        {unit && <span class="unit">{unit}</span>}
      </div>
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {told !== null && (
        <p class="fault" id={`${id}-fault`}>
          {told}
        </p>
      )}
    </div>
  );
}
