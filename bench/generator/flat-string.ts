/** V8 never makes a tree for fewer characters. */
const SHORTEST_TREE = 13

/** The same string in one piece: V8 keeps a concatenation as a tree of its parts, which would be flattened again at each use. */
export function flatString(text: string): string {
  if (text.length < SHORTEST_TREE) return text
  return Buffer.from(text, 'latin1').toString('latin1')
}
