import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A piece of code in a doc comment or a Markdown file: `where` is `file:line` of its first line. */
export interface Example {
  readonly where: string
  readonly code: string
}

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The examples of all doc comments of a folder's sources: what follows `@example`, up to the next tag or the end of the comment. */
export function examplesOfSources(folder: string): Example[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .flatMap((path) => examplesOfComments(join(root, folder, path)))
}

function examplesOfComments(path: string): Example[] {
  const text = readFileSync(path, 'utf8')
  const examples: Example[] = []
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const lines = comment[0].replace(/\*\/$/, '').split('\n')
    const firstLine = lineAt(text, comment.index)
    let open: { line: number; lines: string[] } | undefined
    const close = () => {
      if (open !== undefined) examples.push({ where: place(path, open.line), code: open.lines.join('\n').trimEnd() })
      open = undefined
    }
    lines.forEach((raw, i) => {
      const line = raw.replace(/^\s*\/?\*+ ?/, '').trimEnd()
      if (/^@[a-z]+\b/.test(line)) {
        close()
        if (line.startsWith('@example')) open = { line: firstLine + i + 1, lines: [line.slice('@example'.length).trim()].filter(Boolean) }
      } else if (open !== undefined && !line.startsWith('```')) open.lines.push(line)
    })
    close()
  }
  return examples
}

/** The blocks of a Markdown file that are fenced as `ts`. */
export function examplesOfMarkdown(path: string): Example[] {
  const text = readFileSync(join(root, path), 'utf8').replaceAll('\r\n', '\n')
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((block) => ({
    where: place(join(root, path), lineAt(text, block.index) + 1),
    code: block[1].trimEnd(),
  }))
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

function place(path: string, line: number): string {
  return `${relative(root, path).replaceAll('\\', '/')}:${line}`
}
