/** A programme by its name; by its id until that is known. */
import { useProgramme } from "./data";

export function ProgrammeName({ id }: { id: string }) {
  const programme = useProgramme(id);
  return <>{programme.data.value?.name ?? <span class="code">{id}</span>}</>;
}
