import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Path of a file that ships beside an example's source: `shippedFile(import.meta.url, 'input.txt')`. The compiled example
 * lies in dist/examples, where only code is, so there it is looked for in the source folder.
 */
export function shippedFile(moduleUrl: string, name: string): string {
  const beside = fileURLToPath(new URL(name, moduleUrl))
  if (existsSync(beside)) return beside
  const folder = fileURLToPath(new URL('.', moduleUrl))
  const source = folder.replace(/([\\/])dist[\\/]examples[\\/]/, '$1examples$1')
  return join(source, name)
}
