/**
 * The book of a product as it stood after any command of its partition, or at any time: a slider over all commands.
 *
 * What the slider passes over is not asked; where it rests, the book is.
 */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { api, type Schemas } from "../../api/client";
import { Form } from "../../components/form";
import { EmptyState } from "../../components/states";
import { useAddress } from "./address";
import { forgetAnswers, reasonTold, useAnswer } from "./asking";
import { Moments } from "./book_moments";
import { BookShown } from "./book_shown";
import { ReasonField, SelectField, Told } from "./parts";
import { productOptions } from "./search_filters";
import { t } from "./texts";

type Range = Schemas["BookRange"];

/** Where the slider has stood so long, the book is asked. */
const RESTS_MS = 300;

export function Book() {
  const { chosen, go } = useAddress();
  const catalogue = useCatalogue().value;
  const product = chosen.product ?? "";
  const rangeKey = `range ${product}`;
  const range = useAnswer(product === "" ? null : rangeKey, (o) =>
    api.GET("/v1/oversight/books/{product}/range", {
      ...o,
      params: { path: { product }, query: reasonTold() },
    }),
  );
  return (
    <div class="stack">
      <section class="card" aria-label={t("book")}>
        <h2>{t("book")}</h2>
        <p class="quiet">{t("book.text")}</p>
        <Form label={t("book")} problem={null} onSubmit={() => undefined}>
          <div class="fields">
            <SelectField
              label={t("filter.product")}
              name="product"
              value={product}
              any={t("book.choose")}
              options={productOptions(catalogue)}
              onChange={(next) => go("book", { product: next })}
            />
            <ReasonField isNeeded={false} />
          </div>
        </Form>
        {product !== "" && (
          <Told answer={range}>
            {(found) =>
              found.last_at == null ? (
                <EmptyState title={t("book.none")}>{t("book.none.text")}</EmptyState>
              ) : (
                <Then
                  key={product}
                  product={product}
                  range={found}
                  onRenew={() => {
                    forgetAnswers(rangeKey);
                    range.again();
                  }}
                />
              )
            }
          </Told>
        )}
      </section>
      {product === "" && <EmptyState title={t("book.choose")}>{t("book.choose.text")}</EmptyState>}
    </div>
  );
}

function Then(props: { product: string; range: Range; onRenew: () => void }) {
  const { product, range } = props;
  const { chosen, go } = useAddress();
  const at = chosen.at ?? "";
  const named = Number.parseInt(chosen.sequence ?? "", 10);
  const sequence = Number.isSafeInteger(named)
    ? Math.min(Math.max(named, 0), range.last_sequence)
    : range.last_sequence;
  // Where the slider is while it moves; null while it rests where the address says.
  const moving = useSignal<number | null>(null);
  const wanted = moving.value;
  useEffect(() => {
    if (wanted === null) return;
    const rests = setTimeout(() => {
      moving.value = null;
      go("book", { product, sequence: String(wanted) }, false);
    }, RESTS_MS);
    return () => clearTimeout(rests);
  }, [wanted]);
  const moment = at === "" ? { sequence } : { at };
  const book = useAnswer(`book ${product} ${JSON.stringify(moment)}`, (o) =>
    api.GET("/v1/oversight/books/{product}", {
      ...o,
      params: { path: { product }, query: { ...moment, ...reasonTold(), limit: 100 } },
    }),
  );
  const shown = wanted ?? (at === "" ? sequence : (book.data?.sequence ?? range.last_sequence));
  const isTimeRefused = book.problem !== null && book.problem.faultAt("?at") !== null;
  return (
    <>
      <Moments
        range={range}
        sequence={shown}
        at={at}
        book={book.data}
        problem={isTimeRefused ? book.problem : null}
        onSequence={(next) => {
          moving.value = Math.min(Math.max(next, range.first_sequence - 1), range.last_sequence);
        }}
        onTime={(next) => go("book", { product, at: next }, false)}
        onRenew={props.onRenew}
      />
      <Told answer={book} isToldAbove={isTimeRefused}>
        {(then) => <BookShown key={then.sequence} book={then} />}
      </Told>
    </>
  );
}
