// Starts gesto and Chromium for the browser tests.
//
// GESTO_BIN: the program (default: the workspace's debug build). CHROMIUM: the browser.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { chromium } from "playwright-core";

export const ROOT = resolve(import.meta.dirname, "../../../..");
const PROGRAM = process.env.GESTO_BIN ?? join(ROOT, "target/debug/gesto");
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const CLIP = join(ROOT, "samples/fingers-lq.gif");

/** Longest wait for something that needs the network's results; a busy machine is slow. */
export const PATIENCE = 60_000;

for (const [what, path] of [["program", PROGRAM], ["browser", BROWSER], ["sample clip", CLIP]]) {
  if (!existsSync(path)) throw new Error(`the ${what} is missing: ${path}`);
}

export const SCRATCH = mkdtempSync(join(tmpdir(), "gesto-e2e-"));

/** The sample clip as the fake camera reads it; Chromium plays it in a loop. */
export function cameraFile() {
  const file = join(SCRATCH, "camera.mjpeg");
  if (!existsSync(file)) {
    const args = ["-v", "error", "-y", "-i", CLIP, "-vf", "scale=640:-2,fps=15", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "3", file];
    execFileSync("ffmpeg", args, { stdio: "inherit" });
  }
  return file;
}

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts `gesto live` and waits until it says where it listens. */
export async function startServer(port, extra = []) {
  const child = spawn(PROGRAM, ["live", "--listen", `127.0.0.1:${port}`, ...extra], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  await new Promise((done, fail) => {
    const hear = (chunk) => {
      said += chunk;
      if (said.includes(`127.0.0.1:${port}`)) done();
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", (code) => fail(new Error(`gesto live ended with ${code}: ${said}`)));
    child.on("error", fail);
  });
  // A test that throws must not leave a server behind.
  process.once("exit", () => child.kill("SIGKILL"));
  const ended = new Promise((done) => child.on("exit", (code, signal) => done({ code, signal })));
  return {
    url: `http://127.0.0.1:${port}/`,
    said: () => said,
    /** Ends it as Ctrl-C does; tells how it went. */
    async stop() {
      child.kill("SIGINT");
      return ended;
    },
    /** Ends it without a word. */
    async kill() {
      child.kill("SIGKILL");
      return ended;
    },
  };
}

const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
export const CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** A browser with the clip as its camera, or with `flags` of the test's own. */
export async function startBrowser(flags) {
  const args = flags ?? [...CAMERA, `--use-file-for-fake-video-capture=${cameraFile()}`];
  return chromium.launch({ executablePath: BROWSER, headless: true, args: [...QUIET, ...args] });
}

/** A page that fails the test on any script error. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  return { page, context, errors };
}

const { parts } = JSON.parse(readFileSync(join(ROOT, "crates/gesto-media/src/draw/palette.json"), "utf8"));
/** The skeleton's colours, #rrggbb. */
const SKELETON = Object.values(parts);

/** How many pixels of the view have one of the skeleton's colours. */
export async function skeletonPixels(page) {
  return page.evaluate((skeleton) => {
    const canvas = document.getElementById("view");
    if (!canvas.width || canvas.hidden) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = skeleton.map((hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)));
    let found = 0;
    for (let i = 0; i < data.length; i += 4) {
      if (colours.some(([r, g, b]) => data[i] === r && data[i + 1] === g && data[i + 2] === b)) found++;
    }
    return found;
  }, SKELETON);
}

/** Waits until `check` gives something true. */
export async function until(what, check, limit = PATIENCE) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
