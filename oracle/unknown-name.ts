/** A case uses a word that this runner does not know. */
export function unknownName(what: string, name: unknown): Error {
  return new Error(`unknown ${what}: ${typeof name === 'string' ? name : JSON.stringify(name)}`)
}
