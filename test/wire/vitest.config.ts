import { defineConfig } from 'vitest/config'

/** The suites that need servers: `node scripts/wire-tests.mjs`. */
export default defineConfig({
  test: {
    include: ['test/wire/**/*.wire.ts'],
    globalSetup: ['test/wire/global-setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
