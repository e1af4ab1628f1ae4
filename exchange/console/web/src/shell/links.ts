/** Addresses of the console's own pages. */
export const BASE = "/console";

/** The address of a page below /console/. */
export function to(path: string): string {
  return `${BASE}/${path}`;
}

/** The address of the login page, from which the reader comes back to where he was. */
export function toLogin(path: string, search: string): string {
  if (path === to("login")) return path + search;
  const isFirst = path === BASE || path + search === to("market");
  return isFirst ? to("login") : `${to("login")}?next=${encodeURIComponent(path + search)}`;
}

/** Where to go after a login: to the page that `?next=` names, where that is one of ours; else to the market. */
export function afterLogin(search: string): string {
  const next = new URLSearchParams(search).get("next") ?? "";
  const { origin, pathname, search: asked } = new URL(next, location.origin);
  const isOwn = origin === location.origin && pathname.startsWith(`${BASE}/`) && pathname !== to("login");
  return isOwn ? pathname + asked : to("market");
}
