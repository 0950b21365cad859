// Which seeds the simulation runs in CI: each state of the code that it runs has its own, also where there is no clone of the repository.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the simulation is made of. */
const FOLDERS = ['runtime', 'simulation']

/** First and last of `count` seeds, by a hash in hexadecimal digits. */
export function seedsOf(hash, count) {
  const first = 1 + Number.parseInt(hash.slice(0, 7), 16)
  return [first, first + count - 1]
}

/** SHA-256 of the engine's and the simulation's sources below `root`. Throws when there are none. */
export function codeHash(root) {
  const hash = createHash('sha256')
  for (const folder of FOLDERS) {
    const files = readdirSync(join(root, folder), { recursive: true })
      .map((name) => name.replaceAll('\\', '/'))
      .filter((name) => name.endsWith('.ts'))
      .sort()
    if (files.length === 0) throw new Error(`there are no sources in ${join(root, folder)}, from which the simulation's seeds are taken`)
    for (const file of files)
      hash
        .update(`${folder}/${file}\0`)
        .update(readFileSync(join(root, folder, file)))
        .update('\0')
  }
  return hash.digest('hex')
}
