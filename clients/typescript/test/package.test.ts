// The package as somebody gets it, and its README: each command and each example, as written.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { Daemon, DBAL } from "./world.js";

const PACKAGE = new URL("../../", import.meta.url).pathname;
/** npm asks nobody. */
const ALONE = { npm_config_offline: "true", npm_config_audit: "false", npm_config_fund: "false", npm_config_update_notifier: "false" };
const run = promisify(execFile);

/** Blocks of this kind. */
function blocks(readme: string, kind: string): string[] {
  const parts = readme.split(`\`\`\`${kind}\n`).slice(1);
  return parts.map((part) => part.slice(0, part.indexOf("```")));
}

test("the README's commands and examples do what they say, with the package as it is packed", async () => {
  const readme = readFileSync(join(PACKAGE, "README.md"), "utf8");
  const daemon = await Daemon.start();
  const app = mkdtempSync(join(tmpdir(), "dbal-app-"));
  try {
    symlinkSync(daemon.dir, join(app, ".dbal-dev"));
    writeFileSync(join(app, "package.json"), '{"type": "module", "private": true}');
    const here = (text: string) => text.replaceAll("127.0.0.1:50051", daemon.address).replaceAll("/path/to/dbal/", join(PACKAGE, "../../"));
    writeFileSync(join(app, "app.ts"), here(blocks(readme, "ts").join("\n")));
    const lines = blocks(readme, "sh").flatMap((block) => block.trim().split("\n"));
    assert.ok(lines.length >= 6, `${lines}`);
    let said = "";
    for (const line of lines) {
      const script = `dbal() { ${DBAL} "$@"; }\nset -e\n${here(line)}`;
      const { stdout } = await run("bash", ["-c", script], { cwd: app, env: { ...process.env, ...ALONE } });
      said += stdout;
      // What the README takes for granted.
      if (line.startsWith("npm install")) borrow(app, ["ws", "typescript", "@types", "@typescript", "undici-types", ".bin"]);
    }
    for (const expected of [
      "Hello by alice\n",
      "A note Its sequel 1\n",
      "true\nnot_found\nfalse\nHello\nA note\nIts sequel\n",
      "invalid title not_done\n",
    ]) {
      assert.ok(said.includes(expected), `${expected}: ${said}`);
    }
    await holdsWhatWasBuilt(join(app, "dbal-client-0.1.0.tgz"));
  } finally {
    await daemon.stop();
    rmSync(app, { recursive: true, force: true });
  }
});

/** It holds what was built and nothing else. */
async function holdsWhatWasBuilt(tarball: string): Promise<void> {
  const { stdout } = await run("tar", ["-tzf", tarball]);
  const built = readdirSync(join(PACKAGE, "src")).flatMap((file) => {
    const name = file.replace(/\.ts$/, "");
    return [`dist/${name}.d.ts`, `dist/${name}.js`];
  });
  const expected = ["LICENSE", "README.md", "package.json", ...built].map((path) => `package/${path}`);
  assert.deepEqual(stdout.trim().split("\n").sort(), expected.sort());
  const manifest = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as Record<string, unknown>;
  assert.equal(manifest["dependencies"], undefined);
}

/** Packages that are there already, so that nothing is fetched. */
function borrow(app: string, names: readonly string[]): void {
  mkdirSync(join(app, "node_modules"), { recursive: true });
  for (const name of names) symlinkSync(join(PACKAGE, "node_modules", name), join(app, "node_modules", name));
}
