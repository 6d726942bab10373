// The page with a camera, in a real browser: what a person sees and does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { PATIENCE, freePort, openPage, skeletonPixels, startBrowser, startServer, until } from "./harness.mjs";

describe("with a camera", { timeout: 10 * PATIENCE }, () => {
  let server, browser, page, errors;

  before(async () => {
    server = await startServer(await freePort());
    browser = await startBrowser();
    ({ page, errors } = await openPage(browser, server.url));
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** The two files that a key saves, by their names' endings. */
  const saved = async (key) => {
    const seen = {};
    const listen = (download) => (seen[download.suggestedFilename().split(".").pop()] = download);
    // After a change of settings there may be nothing to save until the next result; the page then says so.
    const refused = page.locator("#toast", { hasText: "nothing to take a snapshot of" });
    page.on("download", listen);
    await page.keyboard.press(key);
    await until("two files", async () => {
      if (await refused.isVisible()) {
        await page.evaluate(() => (document.getElementById("toast").hidden = true));
        await page.keyboard.press(key);
      }
      return Object.keys(seen).length >= 2;
    });
    page.off("download", listen);
    return Object.fromEntries(await Promise.all(Object.entries(seen).map(async ([ending, each]) => [ending, readFileSync(await each.path())])));
  };
  const frames = async () => Number(/gesto_frames_total (\d+)/.exec(await (await fetch(`${server.url}metrics`)).text())?.[1]);

  const chip = (name) => page.locator(`#chips [data-gesture="${name}"]`);

  test("like, peace and a skeleton show within seconds", async () => {
    const began = Date.now();
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    await Promise.all([chip("like").waitFor({ timeout: PATIENCE }), chip("peace").waitFor({ timeout: PATIENCE })]);
    await until("a skeleton on the canvas", async () => (await skeletonPixels(page)) > 100);
    console.log(`# like, peace and a skeleton after ${((Date.now() - began) / 1000).toFixed(1)} s`);
    assert.deepEqual(errors, []);
  });

  test("the panel shows every stage, round trip and dropped frames", async () => {
    const fps = async (stage, looks) =>
      until(`fps of ${stage}`, async () => looks.test(await page.locator(`#hud [data-stage="${stage}"]`).textContent()));
    for (const stage of ["all", "model", "post-processing", "NMS"]) await fps(stage, /^[\d.]+[kM]?$/);
    // Fused into the first layer a resize has no time of its own; any other has.
    await page.locator("select[name=resize]").selectOption("fused");
    await fps("resize", /^in model$/);
    await page.locator("select[name=resize]").selectOption("cpu-bilinear");
    await fps("resize", /^[\d.]+[kM]?$/);
    await until("a round trip", async () => Number(await page.locator("#trip").innerText()) > 0);
    assert.match(await page.locator("#dropped").innerText(), /^\d/);
  });

  test("a snapshot is a PNG and its JSON", async () => {
    await chip("like").waitFor({ timeout: PATIENCE });
    const { png, json } = await saved("s");
    assert.deepEqual([...png.subarray(1, 4)], [...Buffer.from("PNG")]);
    const record = JSON.parse(json);
    assert.equal(record.width > 0 && record.height > 0, true);
    assert.equal(Array.isArray(record.hands) && Array.isArray(record.people), true);
    assert.equal(record.timing_ms.total > 0, true);
  });

  test("a recording is a WebM and its JSON lines", async () => {
    const before = await frames();
    await page.keyboard.press("r");
    await page.locator("#recording").waitFor();
    // The browser's encoder gives nothing for a recording that ends before it has begun.
    await until("two seconds of frames", async () => (await frames()) > before + 40);
    const { webm, jsonl } = await saved("r");
    // EBML, the first bytes of every WebM.
    assert.deepEqual([...webm.subarray(0, 4)], [0x1a, 0x45, 0xdf, 0xa3]);
    const lines = jsonl.toString().trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(lines.length > 2, true, `${lines.length} lines`);
    assert.equal(lines.every((line, i) => i === 0 || line.timestamp_ms >= lines[i - 1].timestamp_ms), true);
  });

  test("a mirrored picture keeps left and right", async () => {
    // The man faces the camera: in an unmirrored picture his left shoulder is on the right.
    const shoulders = async () => {
      const { json } = await saved("s");
      const { people } = JSON.parse(json);
      const at = (name) => people[0]?.keypoints.find((point) => point.name === name);
      const [left, right] = [at("left_shoulder"), at("right_shoulder")];
      return left && right && left.score > 0.5 && right.score > 0.5 ? left.x - right.x : undefined;
    };
    assert.equal(await page.locator("#mirror").getAttribute("aria-pressed"), "true");
    await until("his left on the left of the mirror", async () => (await shoulders()) < 0);
    await page.keyboard.press("m");
    assert.equal(await page.locator("#mirror").getAttribute("aria-pressed"), "false");
    // The last result was turned over here in the page; those that follow come from the server.
    const turned = await frames();
    await until("results of the turned picture", async () => (await frames()) > turned + 3);
    await until("his left on the right of the picture", async () => (await shoulders()) > 0);
    await page.keyboard.press("m");
  });

  test("pause holds the picture and sends nothing", async () => {
    await until("a skeleton", async () => (await skeletonPixels(page)) > 100);
    await page.keyboard.press("Space");
    assert.equal(await page.locator("#status").innerText(), "Paused");
    await page.waitForTimeout(1000);
    const before = await frames();
    await page.waitForTimeout(1000);
    assert.equal(await frames(), before);
    assert.equal((await skeletonPixels(page)) > 100, true, "the skeleton stays on the picture");
    await page.keyboard.press("m");
    await page.waitForTimeout(200);
    assert.equal((await skeletonPixels(page)) > 100, true, "and turns over with it");
    await page.keyboard.press("m");
    await page.keyboard.press("Space");
    await until("frames again", async () => (await frames()) > before);
  });

  test("settings reach the server and come back after a reload", async () => {
    const acknowledged = page.evaluate(() => new Promise((done) => {
      const select = document.querySelector("select[name=size]");
      new MutationObserver(() => done(select.value)).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    }));
    await page.locator("select[name=size]").selectOption("256x128");
    await acknowledged;
    await page.locator("input[name=conf_hand]").fill("0.5");
    await page.reload();
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    await until("the settings again", async () => (await page.locator("select[name=size]").inputValue()) === "256x128");
    assert.equal(await page.locator("input[name=conf_hand]").inputValue(), "0.5");
    await page.locator("select[name=size]").selectOption("320x224");
    await page.locator("input[name=conf_hand]").fill("0.3");
  });

  test("it survives a restart of the server", async () => {
    const { port } = new URL(server.url);
    await server.kill();
    await page.locator("#card").getByText("The server is gone").waitFor({ timeout: PATIENCE });
    assert.equal(await page.locator("#status").innerText(), "Server gone");
    server = await startServer(port);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    await chip("like").waitFor({ timeout: PATIENCE });
    await page.locator("#card").waitFor({ state: "hidden" });
    assert.deepEqual(errors, []);
  });

  test("an orderly stop of the server ends at once and with success", async () => {
    const { port } = new URL(server.url);
    const began = Date.now();
    const { code } = await server.stop();
    assert.equal(code, 0);
    assert.equal(Date.now() - began < 5000, true);
    server = await startServer(port);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
  });
});
