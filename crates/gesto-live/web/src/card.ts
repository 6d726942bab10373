// The card over the picture: one clear sentence and one thing to do, whatever keeps the picture away.

import { byId } from "./dom";
import type { CameraProblem } from "./camera";

export interface CardContent {
  kind: "wait" | "problem";
  icon: "wave" | "camera-off" | "lock" | "plug" | "pause";
  title: string;
  text: string;
  action?: { label: string; run: () => void };
}

export class Card {
  private readonly element = byId("card");
  private readonly button = this.element.querySelector("button") as HTMLButtonElement;
  private shown = "";

  show(content: CardContent): void {
    // Writing the same words again would make a screen reader say them again.
    const key = `${content.title}|${content.text}|${content.action?.label ?? ""}`;
    if (content.action) this.button.onclick = content.action.run;
    if (key === this.shown) return;
    this.shown = key;
    this.element.dataset["kind"] = content.kind;
    this.element.querySelector("use")?.setAttribute("href", `#i-${content.icon}`);
    (this.element.querySelector("h2") as HTMLElement).textContent = content.title;
    (this.element.querySelector("p") as HTMLElement).textContent = content.text;
    this.button.textContent = content.action?.label ?? "";
    this.button.hidden = !content.action;
    this.element.hidden = false;
  }

  hide(): void {
    this.shown = "";
    this.element.hidden = true;
  }
}

/** What to say, and what the person can do, for each way a camera fails. */
export function cameraCard(problem: CameraProblem, retry: () => void): CardContent {
  const again = { label: "Try again", run: retry };
  switch (problem) {
    case "insecure":
      return {
        kind: "problem",
        icon: "lock",
        title: "The camera needs a safe connection",
        text: "Browsers give the camera only to https pages and to localhost. Open gesto on the machine it runs on, through an SSH tunnel, or behind an https proxy.",
      };
    case "refused":
      return {
        kind: "problem",
        icon: "camera-off",
        title: "The camera was refused",
        text: "This page may not use the camera. Allow it in the address bar or in the browser's site settings; pictures go to your gesto server and nowhere else.",
        action: again,
      };
    case "none":
      return {
        kind: "problem",
        icon: "camera-off",
        title: "No camera found",
        text: "Connect a camera, or start gesto with --source to show a video, a stream or the server's own camera.",
        action: again,
      };
    case "busy":
      return {
        kind: "problem",
        icon: "camera-off",
        title: "The camera is busy",
        text: "Another program seems to use it. Close that program and try again.",
        action: again,
      };
    case "failed":
      return { kind: "problem", icon: "camera-off", title: "The camera did not start", text: "The browser could not start the camera.", action: again };
  }
}
