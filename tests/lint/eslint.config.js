/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What `make lint` checks in JavaScript; Prettier decides the format. TypeScript is checked by its compiler
 * (make web). */
import js from "@eslint/js";
import globals from "globals";

/* Of Node.js 20; tests also run with the 18 of Debian 12. */
const TOO_NEW = ["toReversed", "toSorted", "toSpliced"];

export default [
  js.configs.recommended,
  {
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_", ignoreRestSiblings: true, caughtErrors: "none" },
      ],
      "no-control-regex": "off" /* these tests are about what clients send */,
      "no-regex-spaces": "off",
      "no-empty": ["error", { allowEmptyCatch: true }],
      "prefer-const": "error",
      "no-var": "error",
      eqeqeq: "error",
      "no-restricted-properties": [
        "error",
        ...TOO_NEW.map((property) => ({ property, message: "Node.js 18 does not have it." })),
      ],
    },
  },
];
