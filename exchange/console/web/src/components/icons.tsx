/** The pages' icons: 20 by 20, drawn in the colour of the text. They are decoration; what they mean is said in text. */
import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      <g fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
        {children}
      </g>
    </svg>
  );
}

export const IconMarket = () => (
  <Icon>
    <path d="M3 3h4v4H3zM8 3h4v4H8zM13 3h4v4h-4zM3 8h4v4H3zM8 8h4v4H8zM3 13h4v4H3z" />
  </Icon>
);
export const IconBuy = () => (
  <Icon>
    <path d="M10 3v10M6 9l4 4 4-4M4 17h12" />
  </Icon>
);
export const IconSell = () => (
  <Icon>
    <path d="M10 13V3M6 7l4-4 4 4M4 17h12" />
  </Icon>
);
export const IconLeases = () => (
  <Icon>
    <path d="M3 5h14v12H3zM3 9h14M7 3v4M13 3v4" />
  </Icon>
);
export const IconVouchers = () => (
  <Icon>
    <path d="M3 6h14v3a1.5 1.5 0 0 0 0 3v3H3v-3a1.5 1.5 0 0 0 0-3zM12 6v9" />
  </Icon>
);
export const IconOversight = () => (
  <Icon>
    <path d="M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4" />
  </Icon>
);
export const IconOperations = () => (
  <Icon>
    <path d="M3 5h7M14 5h3M3 10h3M10 10h7M3 15h9M16 15h1M12 3v4M8 8v4M14 13v4" />
  </Icon>
);
export const IconClose = () => (
  <Icon>
    <path d="M5 5l10 10M15 5L5 15" />
  </Icon>
);
export const IconUp = () => (
  <Icon>
    <path d="M5 12l5-5 5 5" />
  </Icon>
);
export const IconDown = () => (
  <Icon>
    <path d="M5 8l5 5 5-5" />
  </Icon>
);
export const IconTable = () => (
  <Icon>
    <path d="M3 4h14v12H3zM3 8h14M3 12h14M8 4v12" />
  </Icon>
);
export const IconChart = () => (
  <Icon>
    <path d="M3 3v14h14M6 13l3-4 3 2 4-6" />
  </Icon>
);
