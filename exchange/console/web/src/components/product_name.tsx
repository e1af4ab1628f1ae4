/** A product in words, with its id below: the words are for reading, the id is what orders and files name. */
import { useCatalogue } from "../api/catalogue";

export function ProductName({ id }: { id: string }) {
  const catalogue = useCatalogue().value;
  const words = catalogue?.product(id) ?? id;
  if (words === id) return <>{id}</>;
  return (
    <>
      <span class="product-words">{words}</span>
      <span class="second code">{id}</span>
    </>
  );
}
