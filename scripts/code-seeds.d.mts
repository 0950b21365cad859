export function seedsOf(hash: string, count: number): [first: number, last: number]
export function codeHash(root: string): string
