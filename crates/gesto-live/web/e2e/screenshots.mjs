// Pictures of the page for the docs: node e2e/screenshots.mjs

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { PATIENCE, ROOT, freePort, openPage, skeletonPixels, startBrowser, startServer, until } from "./harness.mjs";

const folder = process.argv[2] ?? join(ROOT, "docs/images");
mkdirSync(folder, { recursive: true });
const server = await startServer(await freePort());
const browser = await startBrowser();
try {
  for (const [name, gesture, options] of [
    ["live-dark.png", "like", { colorScheme: "dark" }],
    ["live-phone.png", "like", { colorScheme: "dark", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ]) {
    const { page, context } = await openPage(browser, server.url, options);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    // The graph wants some history.
    await page.waitForTimeout(12_000);
    // A gesture that has just come may still be drawn on the one before it.
    const shown = () => page.locator(`#chips [data-gesture="${gesture}"]`).isVisible();
    await until(`a steady ${gesture}`, async () => {
      if (!(await shown())) return false;
      await page.waitForTimeout(800);
      return (await shown()) && (await skeletonPixels(page)) > 100;
    });
    await page.screenshot({ path: join(folder, name) });
    console.log(join(folder, name));
    await context.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
