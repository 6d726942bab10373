// What the page says when there is no picture, and how it is used without a mouse.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { CAMERA, CLIP, PATIENCE, freePort, openPage, startBrowser, startServer, until } from "./harness.mjs";

describe("without a camera's picture", { timeout: 5 * PATIENCE }, () => {
  let server;
  before(async () => (server = await startServer(await freePort())));
  after(() => server?.stop());

  for (const [what, flags, title] of [
    ["a refused permission", ["--use-fake-device-for-media-stream", "--deny-permission-prompts"], "The camera was refused"],
    ["a machine without cameras", ["--use-fake-ui-for-media-stream"], "No camera found"],
  ]) {
    test(`${what} is said`, async () => {
      const browser = await startBrowser(flags);
      try {
        const { page, errors } = await openPage(browser, server.url);
        const card = page.getByRole("alert");
        await card.getByRole("heading", { name: title }).waitFor({ timeout: PATIENCE });
        await card.getByRole("button", { name: "Try again" }).waitFor();
        assert.deepEqual(errors, []);
      } finally {
        await browser.close();
      }
    });
  }
});

describe("without a mouse, or on a phone", { timeout: 5 * PATIENCE }, () => {
  let server, browser;
  before(async () => {
    server = await startServer(await freePort());
    browser = await startBrowser([...CAMERA]);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("every control has a name, and keys reach all of them", async () => {
    const { page, context } = await openPage(browser, server.url);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, select, input, canvas, summary")]
        .filter((each) => each.checkVisibility())
        .filter((each) => {
          const label = each.closest("label")?.textContent ?? "";
          return !(each.getAttribute("aria-label") ?? (label || each.textContent)).trim();
        })
        .map((each) => each.outerHTML),
    );
    assert.deepEqual(nameless, []);

    await page.locator("#pause").focus();
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.id), "mirror");
    await page.keyboard.press("End");
    assert.equal(await page.evaluate(() => document.activeElement.id), "tune");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("#tune").getAttribute("aria-expanded"), "false");
    await page.keyboard.press("p");
    assert.equal(await page.locator("#tune").getAttribute("aria-expanded"), "true");

    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await page.getByLabel("Single-key shortcuts").uncheck();
    await page.keyboard.press("Escape");
    await page.keyboard.press("p");
    assert.equal(await page.locator("#tune").getAttribute("aria-expanded"), "true", "shortcuts are off");
    await context.close();
  });

  test("a phone's screen holds it without scrolling sideways", async () => {
    const { page, context } = await openPage(browser, server.url, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    for (const id of ["pause", "snapshot", "record"]) {
      const box = await page.locator(`#${id}`).boundingBox();
      assert.equal(box.width >= 44 && box.height >= 44 && box.x >= 0 && box.x + box.width <= 360, true, `${id}: ${JSON.stringify(box)}`);
    }
    // However far one scrolls, the controls stay at the thumb, and nothing lies over the picture's figures.
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const pause = await page.locator("#pause").boundingBox();
    assert.equal(pause.y > 600 && pause.y + pause.height <= 740, true, JSON.stringify(pause));
    await page.evaluate(() => scrollTo(0, 0));
    const [picture, figures, panel] = await Promise.all(["#view", "#hud", "#side"].map((id) => page.locator(id).boundingBox()));
    assert.equal(picture.y + picture.height <= figures.y && figures.y + figures.height <= panel.y, true, JSON.stringify([picture, figures, panel]));
    await context.close();
  });

  test("what this machine lacks is greyed out, with its reason", async () => {
    const { choices } = await (await fetch(`${server.url}v1/info`)).json();
    const lacking = choices.missing.resizes.cpu ?? {};
    const { page, context } = await openPage(browser, server.url);
    await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
    for (const [name, offered, missing] of [
      ["unit", choices.units, choices.missing.units],
      ["resize", choices.resizes.cpu, lacking],
    ]) {
      const options = await page.locator(`select[name=${name}] option`).evaluateAll((all) =>
        all.map(({ value, disabled, title }) => ({ value, disabled, title })));
      assert.deepEqual(options.filter((each) => !each.disabled).map((each) => each.value), offered);
      assert.deepEqual(options.filter((each) => each.disabled).map((each) => each.title), Object.values(missing));
    }
    const reasons = [...Object.values(choices.missing.units), ...Object.values(lacking)];
    const details = page.locator("#settings .missing");
    assert.equal(await details.isVisible(), reasons.length > 0);
    if (reasons.length > 0) {
      await details.locator("summary").click();
      assert.deepEqual(await details.locator("dd").allInnerTexts(), reasons);
    }
    await context.close();
  });

  test("light and dark differ, and the choice stays", async () => {
    const { page, context } = await openPage(browser, server.url, { colorScheme: "dark" });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await page.locator("#theme").click();
    await page.locator("#theme").click();
    const light = await ground();
    assert.notEqual(light, dark);
    await page.reload();
    assert.equal(await ground(), light);
    await context.close();
  });
});

describe("with the server's own source", { timeout: 5 * PATIENCE }, () => {
  test("several viewers see its picture, and a change reaches all", async () => {
    const server = await startServer(await freePort(), ["--source", CLIP]);
    const browser = await startBrowser([]);
    try {
      const viewers = await Promise.all([openPage(browser, server.url), openPage(browser, server.url)]);
      for (const { page } of viewers) {
        await page.locator('#chips [data-gesture="like"]').waitFor({ timeout: PATIENCE });
        await until("a picture", () => page.evaluate(() => document.getElementById("view").width > 0));
      }
      await viewers[0].page.locator("input[name=conf_body]").fill("0.7");
      await until("the other's setting", async () => (await viewers[1].page.locator("input[name=conf_body]").inputValue()) === "0.7");
      assert.deepEqual(viewers.flatMap(({ errors }) => errors), []);
    } finally {
      await browser.close();
      await server.stop();
    }
  });
});

describe("with a token", { timeout: 5 * PATIENCE }, () => {
  test("the page asks for it, and the link carries it", async () => {
    const token = "a-token-of-the-tests-1";
    const server = await startServer(await freePort(), ["--token", token]);
    const browser = await startBrowser([...CAMERA]);
    try {
      const { page, context } = await openPage(browser, server.url);
      await page.getByLabel("Token").fill("not-the-right-token");
      await page.getByRole("button").click();
      await page.getByRole("alert").getByText("That is not the token.").waitFor();
      // The form looks like the page: its style sheet is not behind the token.
      const corner = await page.evaluate(() => getComputedStyle(document.querySelector("main")).borderRadius);
      assert.equal(corner, "22px");
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button").click();
      await page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
      await context.close();

      const other = await openPage(browser, `${server.url}login?token=${token}`);
      await other.page.locator("#status[data-state=live]").waitFor({ timeout: PATIENCE });
      assert.equal(new URL(other.page.url()).search, "");
    } finally {
      await browser.close();
      await server.stop();
    }
  });
});
