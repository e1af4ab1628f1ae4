/** Begins the console. */
import { render } from "preact";
import "./styles/index.css";
import { ignoreSecondClicks } from "./components/double_click";
import { loadSession } from "./session";
import { App } from "./shell/app";
import "./theme";

async function begin(): Promise<void> {
  const root = document.getElementById("app");
  if (root === null) throw new Error("index.html has no #app");
  ignoreSecondClicks();
  await loadSession();
  render(<App />, root);
}

void begin();
