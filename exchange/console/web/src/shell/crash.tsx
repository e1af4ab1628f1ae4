/** Where a page breaks, the frame stays, says so, and offers to begin again. */
import { Component, type ComponentChildren } from "preact";
import { EmptyState } from "../components/states";
import { t } from "../i18n";

export class Crash extends Component<{ children: ComponentChildren }, { isBroken: boolean }> {
  override state = { isBroken: false };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ isBroken: true });
  }

  override render() {
    if (!this.state.isBroken) return this.props.children;
    return (
      <EmptyState
        title={t("failed.page")}
        action={
          <button type="button" class="button" onClick={() => location.reload()}>
            {t("retry")}
          </button>
        }
      />
    );
  }
}
