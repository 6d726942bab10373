// Ties the page together: camera or server's picture -> frames out, results in -> view and panel.

import "./style.css";

import { Camera, CameraError } from "./camera";
import type { CameraProblem } from "./camera";
import { Recorder, snapshot, toRecord } from "./capture";
import { Card, cameraCard } from "./card";
import { Connection } from "./connection";
import type { ConnectionState } from "./connection";
import { Controls } from "./controls";
import { byId, fillSelect } from "./dom";
import type { Way } from "./encoder";
import { Gestures } from "./gestures";
import { onKeys, rovingFocus } from "./keys";
import { mirrorResult } from "./mirror";
import { Panel } from "./panel";
import * as preferences from "./preferences";
import { encodeShown } from "./protocol";
import type { Hello, Result, ServerMessage, Settings, TextMessage } from "./protocol";
import { Pump } from "./pump";
import { applyTheme, nextTheme } from "./theme";
import { View } from "./view";

const WAY_NAMES: Record<Way, string> = { jpeg: "JPEG", webp: "WebP", rgb: "raw pixels" };

class App {
  private readonly prefs = preferences.load();
  private hello: Hello | null = null;
  private link: ConnectionState = { name: "connecting" };
  private cameraState: "off" | "asking" | "on" | CameraProblem = "off";
  private source: { state: string; message: string } | null = null;
  private paused = false;
  private lastResult: Result | null = null;
  private serverDrops = 0;
  private decoding = false;

  private readonly video = byId<HTMLVideoElement>("video");
  private readonly camera = new Camera(this.video, () => this.cameraLost());
  private readonly card = new Card();
  private readonly gestures = new Gestures();
  private readonly recorder = new Recorder();
  private readonly view = new View(byId<HTMLCanvasElement>("view"), byId("stage"), () => ({
    gestures: this.hello?.gestures ?? [],
    keypointScore: this.prefs.keypointScore,
    covered: this.gestures.over(byId("view")),
  }));
  private readonly panel = new Panel(byId("hud"), byId("stages"), byId<HTMLCanvasElement>("graph"), {
    shown: byId("shown"),
    trip: byId("trip"),
    dropped: byId("dropped"),
    maxima: [byId("trip-max"), byId("shown-max")],
  });
  private readonly connection = new Connection(new URL(document.baseURI), {
    state: (state) => this.linkChanged(state),
    text: (message) => this.textArrived(message),
    binary: (message) => this.binaryArrived(message),
  });
  private readonly pump = new Pump(
    this.video,
    (message) => this.connection.send(message),
    () => ({ mirrored: this.mirrored, size: this.hello?.settings.size ?? [320, 224] }),
    (error) => this.toast(`A frame could not be read from the camera: ${String(error)}`),
  );
  private readonly controls = new Controls(
    byId<HTMLFormElement>("settings"),
    (change) => this.changeSettings(change),
    this.prefs.keypointScore,
    (score) => this.remember({ keypointScore: score }),
  );

  run(): void {
    this.wireButtons();
    this.wireDevices();
    this.pump.chooser.fix(this.prefs.way || null);
    document.body.classList.toggle("no-side", !this.prefs.panel);
    byId("tune").setAttribute("aria-expanded", String(this.prefs.panel));
    this.showMirror();
    setInterval(() => this.tick(), 250);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.link.name === "idle" && !this.paused) this.connection.open();
    });
    this.connection.open();
    this.render();
  }

  private get mode(): "browser" | "source" {
    return this.hello?.mode ?? "browser";
  }

  /** A camera that looks away from the person is no mirror, so each kind of picture has a choice of its own. */
  private get mirrorOf(): keyof preferences.Preferences["mirrored"] {
    if (this.mode === "source") return "source";
    return this.camera.facesAway ? "away" : "browser";
  }

  private get mirrored(): boolean {
    return this.prefs.mirrored[this.mirrorOf] ?? false;
  }

  // Server

  private linkChanged(state: ConnectionState): void {
    this.link = state;
    if (state.name !== "open") {
      this.pump.stop();
      this.view.clearResult();
      this.gestures.clear();
    }
    this.render();
  }

  private textArrived(message: TextMessage): void {
    switch (message.type) {
      case "hello":
        this.welcomed(message);
        break;
      case "settings":
        if (this.hello) this.hello.settings = message.settings;
        this.controls.show(message.settings);
        break;
      case "source":
        this.source = message;
        break;
      case "error":
        this.toast(message.message);
        if (this.hello) this.controls.show(this.hello.settings);
        break;
    }
    this.render();
  }

  private welcomed(hello: Hello): void {
    this.hello = hello;
    this.controls.offer(hello);
    byId("devices").hidden = hello.mode === "source";
    this.showMirror();
    // A source belongs to all its viewers; only a stream of one's own follows one's own choices.
    const wanted = preferences.offered(this.prefs.settings, hello);
    if (hello.mode === "browser" && Object.keys(wanted).length > 0) this.connection.change(wanted);
    this.pump.forget();
    this.pump.chooser.restart();
    this.panel.reset();
    if (hello.mode === "browser") {
      if (this.cameraState === "on") this.startPump();
      else if (this.cameraState === "off") void this.startCamera();
    }
  }

  private binaryArrived(message: ServerMessage): void {
    switch (message.type) {
      case "result": {
        const answer = this.pump.answered(message.result.id);
        // The frame that was under way when the picture was stopped still belongs to it.
        if (this.paused) this.view.result(this.asShown(message.result));
        else this.resultArrived(message.result, answer?.roundTripMs ?? null);
        break;
      }
      case "picture":
        void this.pictureArrived(message.result, message.jpeg);
        break;
      case "dropped":
        this.serverDrops++;
        this.pump.answered(message.id);
        break;
      case "refused":
        this.pump.answered(message.id);
        this.toast(message.message);
        break;
    }
    this.panel.dropped(this.pump.dropped + this.serverDrops);
  }

  /** The server answers in pixels of the frame that it saw; here they become those of the picture that is shown. */
  private asShown(answer: Result): Result {
    // One's own frames go mirrored as they are shown; the server's pictures are mirrored for the display alone.
    const flip = this.mode === "source" ? this.mirrored : answer.mirrored !== this.mirrored;
    return flip ? mirrorResult(answer) : answer;
  }

  private resultArrived(answer: Result, roundTripMs: number | null): void {
    const result = this.asShown(answer);
    this.lastResult = result;
    this.serverDrops += result.dropped;
    this.view.result(result);
    this.panel.result(result.timing, roundTripMs);
    const { hello } = this;
    if (!hello) return;
    this.gestures.update(result, hello.gestures, this.prefs.speak);
    this.recorder.add((at) => toRecord(result, hello, this.sourceName, at));
  }

  private async pictureArrived(result: Result, jpeg: Uint8Array): Promise<void> {
    // Newest only: a picture that comes while one is being decoded is passed over.
    if (this.decoding || this.paused) {
      if (!this.paused) this.serverDrops++;
      this.connection.send(encodeShown(result.id));
      return;
    }
    this.decoding = true;
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg as Uint8Array<ArrayBuffer>], { type: "image/jpeg" }));
      this.view.show({ source: bitmap, mirrored: this.mirrored });
      this.resultArrived(result, null);
    } catch {
      this.toast("The server sent a picture that this browser cannot show.");
    } finally {
      this.decoding = false;
      this.connection.send(encodeShown(result.id));
    }
    this.render();
  }

  private changeSettings(change: Partial<Settings>): void {
    if (this.mode === "browser") this.remember({ settings: { ...this.prefs.settings, ...change } });
    this.connection.change(change);
    if ("size" in change || "unit" in change || "resize" in change || "fit" in change) {
      this.panel.reset();
      this.pump.chooser.restart();
    }
  }

  // Camera

  private async startCamera(deviceId = this.prefs.camera): Promise<void> {
    this.cameraState = "asking";
    this.render();
    try {
      await this.camera.start(deviceId);
      this.cameraState = "on";
      this.showMirror();
      this.view.show({ source: this.video, mirrored: this.mirrored });
      this.startPump();
      await this.listCameras();
    } catch (error) {
      this.cameraState = error instanceof CameraError ? error.problem : "failed";
      this.view.show(null);
    }
    this.render();
  }

  private cameraLost(): void {
    this.cameraState = "none";
    this.pump.stop();
    this.view.show(null);
    this.render();
  }

  private startPump(): void {
    if (!this.paused && this.cameraState === "on" && this.link.name === "open") this.pump.start();
  }

  private async listCameras(): Promise<void> {
    const select = byId<HTMLFormElement>("devices").elements.namedItem("camera") as HTMLSelectElement;
    const cameras = await Camera.list();
    fillSelect(select, cameras.map(({ id, label }) => [id, label] as const), this.camera.deviceId);
  }

  private wireDevices(): void {
    const form = byId<HTMLFormElement>("devices");
    const way = form.elements.namedItem("way") as HTMLSelectElement;
    way.value = this.prefs.way;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => {
      const field = event.target as HTMLSelectElement;
      if (field === way) {
        this.remember({ way: way.value as Way | "" });
        this.pump.chooser.fix(this.prefs.way || null);
      } else {
        this.remember({ camera: field.value });
        void this.startCamera();
      }
    });
    const media = navigator.mediaDevices as MediaDevices | undefined;
    media?.addEventListener("devicechange", () => {
      if (this.cameraState === "none" && this.mode === "browser") void this.startCamera();
      else void this.listCameras();
    });
  }

  // Buttons

  private wireButtons(): void {
    const theme = byId("theme");
    applyTheme(theme, this.prefs.theme);
    theme.addEventListener("click", () => {
      this.remember({ theme: nextTheme(this.prefs.theme) });
      applyTheme(theme, this.prefs.theme);
    });
    const keys = byId<HTMLDialogElement>("keys");
    for (const name of ["shortcuts", "speak"] as const) {
      const box = byId<HTMLInputElement>(name);
      box.checked = this.prefs[name];
      box.addEventListener("change", () => this.remember({ [name]: box.checked }));
    }
    const actions: Record<string, [string, () => void]> = {
      Space: ["pause", () => this.pause(!this.paused)],
      m: ["mirror", () => this.toggleMirror()],
      s: ["snapshot", () => void this.takeSnapshot()],
      r: ["record", () => this.toggleRecording()],
      f: ["full", () => void this.toggleFullScreen()],
      p: ["tune", () => this.togglePanel()],
      "?": ["help", () => keys.showModal()],
    };
    for (const [id, run] of Object.values(actions)) byId(id).addEventListener("click", run);
    onKeys(Object.fromEntries(Object.entries(actions).map(([key, [, run]]) => [key, run])), () => this.prefs.shortcuts && !keys.open);
    rovingFocus(byId("dock"));
    document.addEventListener("fullscreenchange", () => byId("full").setAttribute("aria-pressed", String(document.fullscreenElement !== null)));
  }

  private pause(paused: boolean): void {
    this.paused = paused;
    this.view.held = paused;
    const button = byId("pause");
    button.setAttribute("aria-pressed", String(paused));
    button.querySelector("use")?.setAttribute("href", paused ? "#i-play" : "#i-pause");
    (button.querySelector("span") as HTMLElement).textContent = paused ? "Go on" : "Pause";
    if (paused) {
      this.pump.stop();
      this.video.pause();
      this.gestures.clear();
    } else {
      if (this.camera.isOn) void this.video.play();
      if (this.link.name === "idle") this.connection.open();
      this.startPump();
    }
    this.render();
  }

  private toggleMirror(): void {
    this.remember({ mirrored: { ...this.prefs.mirrored, [this.mirrorOf]: !this.mirrored } });
    if (this.lastResult) this.lastResult = mirrorResult(this.lastResult);
    this.view.mirror();
    this.showMirror();
  }

  private showMirror(): void {
    byId("mirror").setAttribute("aria-pressed", String(this.mirrored));
  }

  private async takeSnapshot(): Promise<void> {
    const { hello, lastResult } = this;
    if (!hello || !lastResult || this.view.canvas.hidden) {
      this.toast("There is nothing to take a snapshot of yet.");
      return;
    }
    const stem = await snapshot(this.view.canvas, toRecord(lastResult, hello, this.sourceName, lastResult.sentAt));
    this.toast(`Saved ${stem}.png and .json`);
  }

  private toggleRecording(): void {
    const button = byId("record");
    try {
      if (this.recorder.isOn) {
        this.recorder.stop();
      } else {
        if (this.view.canvas.hidden) throw new Error("there is no picture yet");
        this.recorder.start(this.view.canvas, (stem) => this.toast(`Saved ${stem} as video and JSON lines`));
      }
    } catch (error) {
      this.toast(`Not recording: ${error instanceof Error ? error.message : String(error)}.`);
    }
    this.view.frozen = this.recorder.isOn;
    byId("recording").hidden = !this.recorder.isOn;
    button.setAttribute("aria-pressed", String(this.recorder.isOn));
    (button.querySelector("span") as HTMLElement).textContent = this.recorder.isOn ? "Stop" : "Record";
  }

  private async toggleFullScreen(): Promise<void> {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await byId("stage").requestFullscreen();
    } catch {
      this.toast("This browser has no full screen for pages.");
    }
  }

  private togglePanel(): void {
    this.remember({ panel: !this.prefs.panel });
    document.body.classList.toggle("no-side", !this.prefs.panel);
    byId("tune").setAttribute("aria-expanded", String(this.prefs.panel));
  }

  // What the person sees

  private get sourceName(): string {
    return this.mode === "source" ? (this.hello?.source ?? "source") : "camera";
  }

  private tick(): void {
    if (this.link.name === "gone") this.render();
    if (this.recorder.isOn) {
      const seconds = Math.floor(this.recorder.seconds);
      (byId("recording").querySelector("span") as HTMLElement).textContent =
        `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
    const { settled } = this.pump.chooser;
    byId("sending").textContent =
      this.cameraState !== "on" || this.link.name !== "open"
        ? ""
        : settled
          ? `Sending ${WAY_NAMES[this.pump.chooser.next(performance.now())]}.`
          : "Measuring which way is quickest.";
  }

  private render(): void {
    const status = byId("status");
    const [state, text] = this.statusLine();
    status.dataset["state"] = state;
    if (status.textContent !== text) status.textContent = text;
    this.renderCard();
  }

  private statusLine(): [string, string] {
    if (this.link.name === "gone") return ["gone", "Server gone"];
    if (this.link.name === "refused") return ["gone", "Not connected"];
    if (this.paused) return ["paused", "Paused"];
    if (this.link.name === "connecting") return ["connecting", "Connecting"];
    if (this.mode === "source") return this.source?.state === "playing" ? ["live", "Live"] : ["connecting", "Waiting for the source"];
    if (this.cameraState === "on") return ["live", "Live"];
    return ["connecting", this.cameraState === "asking" ? "Waiting for the camera" : "No camera"];
  }

  private renderCard(): void {
    const { card, link } = this;
    if (link.name === "refused") {
      card.show({ kind: "problem", icon: "lock", title: "Not connected", text: link.reason, action: { label: "Reload", run: () => location.reload() } });
    } else if (link.name === "gone") {
      const text = link.reason || "gesto does not answer. This page reconnects by itself as soon as it is back.";
      card.show({ kind: "problem", icon: "plug", title: link.reason ? "The server is full" : "The server is gone", text, action: { label: "Try now", run: () => this.connection.open() } });
    } else if (this.paused) {
      card.hide();
    } else if (link.name === "idle") {
      card.show({ kind: "wait", icon: "pause", title: "Asleep", text: "No picture was sent for a while.", action: { label: "Go on", run: () => this.connection.open() } });
    } else if (!this.hello) {
      card.show({ kind: "wait", icon: "wave", title: "Connecting", text: "Looking for the gesto server." });
    } else if (this.mode === "source") {
      this.renderSourceCard();
    } else if (this.cameraState === "asking") {
      card.show({ kind: "wait", icon: "wave", title: "May gesto see you?", text: "Allow the camera when the browser asks. Pictures go to your gesto server and nowhere else." });
    } else if (this.cameraState === "on" || this.cameraState === "off") {
      card.hide();
    } else {
      card.show(cameraCard(this.cameraState, () => void this.startCamera()));
    }
  }

  private renderSourceCard(): void {
    if (!this.source || this.source.state === "playing") this.card.hide();
    else {
      const lost = this.source.state === "lost";
      this.card.show({
        kind: lost ? "problem" : "wait",
        icon: lost ? "camera-off" : "wave",
        title: lost ? "No picture from the source" : "Opening the source",
        text: this.source.message,
      });
    }
  }

  private toastTimer: ReturnType<typeof setTimeout> | undefined;

  private toast(text: string): void {
    const toast = byId("toast");
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => (toast.hidden = true), 5000);
  }

  private remember(change: Partial<preferences.Preferences>): void {
    Object.assign(this.prefs, change);
    preferences.save(this.prefs);
  }
}

new App().run();
