/** The question before one order is withdrawn: what of it stays bought, and what becomes free. */
import { api, once } from "../../api/client";
import { Problem } from "../../api/problem";
import { toast } from "../../components/announcer";
import { Confirm } from "../../components/dialog";
import { Money } from "../../components/values";
import { t as shared } from "../../i18n";
import type { Order } from "./orders";
import { Line } from "./preview";
import { t } from "./texts";

export function Cancel(props: { order: Order | null; onClose: () => void; onDone: () => void }) {
  const { order } = props;
  const cancel = async () => {
    if (order === null) return;
    try {
      const params = { path: { order_id: order.id } };
      const gone = await once(() => api.DELETE("/v1/orders/{order_id}", { params }));
      toast(t("cancelled", { name: gone.client_order_id }), "good");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      toast(problem.text, "bad");
    }
    props.onDone();
  };
  return (
    <Confirm
      title={t("cancel.title")}
      isOpen={order !== null}
      onClose={props.onClose}
      onConfirm={cancel}
      confirmLabel={t("cancel.confirm")}
      isDangerous
    >
      {order !== null && (
        <>
          <p>{t("cancel.text", { name: order.client_order_id })}</p>
          <dl class="lines">
            <Line label={t("cancel.open")}>
              {shared("unit.gpus", { count: order.remaining_gpus ?? order.quantity_gpus })}
            </Line>
            <Line label={t("cancel.kept")}>{shared("unit.gpus", { count: order.filled_gpus ?? 0 })}</Line>
            {order.held != null && (
              <Line label={t("cancel.freed")}>
                <Money cny={order.held.cash_cny} />
              </Line>
            )}
          </dl>
        </>
      )}
    </Confirm>
  );
}
