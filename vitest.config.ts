import { defineConfig } from 'vitest/config'

/**
 * Tests of the rooms import their sources; `millrace` itself is found through package.json as a user finds it, in dist,
 * which is why `npm test` builds first.
 */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
