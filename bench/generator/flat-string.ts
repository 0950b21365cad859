/** The same string in one piece: V8 keeps a concatenation as a tree of its parts, which would be flattened again at each use. */
export function flatString(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
