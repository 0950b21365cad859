// Which seeds the simulation runs for a commit: each commit has its own, and whoever runs a commit again has the same.
import { spawnSync } from 'node:child_process'

const HASH = /^[0-9a-f]{40,64}$/

/** First and last of `count` seeds, by the commit's hash. */
export function seedsOf(hash, count) {
  if (!HASH.test(hash)) throw new Error(`"${hash}" is no hash of a commit, from which the simulation's seeds are taken`)
  const first = 1 + Number.parseInt(hash.slice(0, 7), 16)
  return [first, first + count - 1]
}

/** The hash of the commit that is checked out in `folder`. */
export function commitOf(folder) {
  const { stdout = '', stderr = '', error } = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: folder, encoding: 'utf8' })
  const hash = (stdout ?? '').trim()
  if (HASH.test(hash)) return hash
  const why = error?.message ?? (stderr ?? '').trim()
  throw new Error(
    `The simulation's seeds come from the hash of the commit, and git does not say it (${why}). ` +
      'Run this in a clone of the repository, or the simulation alone: node scripts/simulate.mjs --seeds 1-10000 --minutes 8',
  )
}
