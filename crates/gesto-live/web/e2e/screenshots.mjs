// Pictures of the page for the docs: node e2e/screenshots.mjs

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { PATIENCE, ROOT, freePort, openPage, skeletonPixels, startBrowser, startServer, until } from "./harness.mjs";

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
    ["live-phone.jpg", "like", { colorScheme: "dark", ...phone }],
  ]) {
    const { page, context } = await openPage(browser, server.url, options);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    // The graph wants some history, and the choice of how frames go its tries.
    await page.waitForTimeout(20_000);
    // A gesture that has just come may still be drawn on the one before it.
    const shown = () => page.locator(`#chips [data-gesture="${gesture}"]`).isVisible();
    await until(`a steady ${gesture}`, async () => {
      if (!(await shown())) return false;
      await page.waitForTimeout(800);
      return (await shown()) && (await skeletonPixels(page)) > 100;
    });
    await page.screenshot({ path: join(folder, name), type: "jpeg", quality: 88 });
    console.log(join(folder, name));
    await context.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
