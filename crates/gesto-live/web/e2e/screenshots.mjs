// Pictures of the page for the docs: node e2e/screenshots.mjs

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { PATIENCE, ROOT, freePort, openPage, skeletonPixels, startBrowser, startServer, until } from "./harness.mjs";

/** What a picture has to show: a page that keeps up, and the expected gesture, surely and before all others. */
const LONGEST_TRIP_MS = 40;
const LEAST_FRAMES = 20;
const LEAST_SCORE = 70;

const folder = process.argv[2] ?? join(ROOT, "docs/images");
mkdirSync(folder, { recursive: true });
// The browser draws on the same machine: it gets a core of its own.
const server = await startServer(await freePort(), ["--threads", "1"]);
const browser = await startBrowser();
try {
  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
  for (const [name, gesture, options] of [
    ["live-dark.jpg", "peace", { colorScheme: "dark" }],
    ["live-light.jpg", "peace", { colorScheme: "light" }],
    ["live-phone.jpg", "peace", { colorScheme: "dark", ...phone }],
  ]) {
    const { page, context } = await openPage(browser, server.url, options);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    // The graph wants some history, and the choice of how frames go its tries.
    await page.waitForTimeout(20_000);
    const figures = () =>
      page.evaluate(() => ({
        trip: Number(document.getElementById("trip").textContent),
        frames: Number(document.getElementById("shown").textContent),
        chips: [...document.querySelectorAll("#chips li")]
          .map((chip) => [chip.dataset.gesture, Number.parseInt(chip.lastElementChild.textContent, 10)])
          .sort(([, a], [, b]) => b - a),
      }));
    const good = ({ trip, frames, chips }) =>
      trip < LONGEST_TRIP_MS && frames >= LEAST_FRAMES && chips[0]?.[0] === gesture && chips[0][1] >= LEAST_SCORE;
    let last;
    const check = async () => good((last = await figures()));
    try {
      // A gesture that has just come may still be drawn on the one before it.
      await until(`a steady ${gesture}`, async () => {
        if (!(await check())) return false;
        await page.waitForTimeout(800);
        return (await check()) && (await skeletonPixels(page)) > 100;
      });
    } catch (error) {
      throw new Error(`${name}: ${error.message}; the page last showed ${JSON.stringify(last)}: is the machine busy?`);
    }
    await page.screenshot({ path: join(folder, name), type: "jpeg", quality: 88 });
    console.log(join(folder, name));
    await context.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
