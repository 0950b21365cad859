/** A public export: `parts` are its declarations (a function has one for each overload), as TypeScript, without what is internal. */
export interface PublicExport {
  readonly entry: 'millrace' | 'millrace/testing'
  readonly name: string
  readonly page: string
  readonly source: string
  readonly parts: readonly { readonly comment: string; readonly text: string }[]
}

export function publicExports(): PublicExport[]
export function renderPages(exports: readonly PublicExport[]): Record<string, string>
export function stalePages(pages: Readonly<Record<string, string>>): string[]
