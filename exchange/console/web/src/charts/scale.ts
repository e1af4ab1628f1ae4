/**
 * The colours of prices: one sequential scale that runs evenly from light to dark (on dark ground from dark to light),
 * so that every kind of colour vision, and a grey print, reads the same order.
 */
type Rgb = readonly [number, number, number];

// Yellow, green, blue: cheap is light on light ground.
const LIGHT: readonly Rgb[] = [
  [255, 250, 205],
  [214, 238, 179],
  [146, 212, 185],
  [73, 178, 192],
  [38, 128, 181],
  [36, 73, 152],
  [16, 32, 88],
];
const DARK: readonly Rgb[] = [
  [24, 40, 82],
  [30, 72, 122],
  [30, 108, 138],
  [46, 145, 140],
  [103, 181, 122],
  [185, 212, 96],
  [253, 236, 128],
];

/** The colour of a share between 0 and 1. */
export function colour(share: number, isDark: boolean): Rgb {
  const stops = isDark ? DARK : LIGHT;
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(place), stops.length - 2);
  const part = place - below;
  const from = stops[below] as Rgb;
  const to = stops[below + 1] as Rgb;
  return [0, 1, 2].map((index) =>
    Math.round((from[index] as number) + ((to[index] as number) - (from[index] as number)) * part),
  ) as unknown as Rgb;
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** Black or white, whichever reads better on a colour. */
export function inkOn([red, green, blue]: Rgb): string {
  return red * 0.299 + green * 0.587 + blue * 0.114 > 140 ? "#10202b" : "#f4f8fa";
}
