// Dark or light: as the system says, until somebody says otherwise; that is kept, for all our pages.
const KEY = "tickgate.palette";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = [];

function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden: then it is not kept
  }
}

export const dark = () => document.documentElement.dataset.palette === "dark";

function apply() {
  const own = kept();
  const name = own === "dark" || own === "light" ? own : system.matches ? "dark" : "light";
  if (document.documentElement.dataset.palette === name) return;
  document.documentElement.dataset.palette = name;
  for (const listener of listeners) listener(name);
}

export function toggle() {
  const name = dark() ? "light" : "dark";
  try {
    // Back to what the system says is back to following it.
    if ((name === "dark") === system.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
    apply();
  } catch {
    document.documentElement.dataset.palette = name;
    for (const listener of listeners) listener(name);
  }
}

export const onPalette = (listener) => listeners.push(listener);

system.addEventListener("change", apply);
addEventListener("storage", apply); // from the other pages
apply();
