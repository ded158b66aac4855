// Makes a component of the JavaScript rule: build.mjs SOURCE WIT OUTPUT
//
// Run where componentize-js is installed; `make languages` copies it there.
// Every feature that would import something from the host is left out, so the
// component imports nothing.

import { readFile, writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [source, wit, output] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, "utf8"), {
  witPath: wit,
  worldName: "detection-rule",
  disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(output, component);
