import type { FileSystem } from '../../../ports/index.js'

const CHUNK_BYTES = 1 << 20
const NEWLINE = 10

/** Number (from 1) of the line that starts at byte `position` of a plain file. */
export async function lineNumberAt(files: FileSystem, path: string, position: number): Promise<number> {
  const handle = await files.openRead(path)
  try {
    let lineNumber = 1
    for (let at = 0; at < position; ) {
      const bytes = await handle.read(at, Math.min(CHUNK_BYTES, position - at))
      if (bytes.length === 0) break
      for (let i = bytes.indexOf(NEWLINE); i !== -1; i = bytes.indexOf(NEWLINE, i + 1)) lineNumber += 1
      at += bytes.length
    }
    return lineNumber
  } finally {
    await handle.close()
  }
}
