/** In the place of a standard stream's `write`: `take` gets what is written. */
export function writeTo(take: (text: string) => void): typeof process.stdout.write {
  return ((chunk: string | Uint8Array, done?: unknown) => {
    take(String(chunk))
    if (typeof done === 'function') done()
    return true
  }) as typeof process.stdout.write
}
