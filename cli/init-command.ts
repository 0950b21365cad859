import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { MillraceError } from '../runtime/core/index.js'
import { printLines } from './print.js'
import { wrongCommandLine } from './wrong-command-line.js'

/** What the template calls the job, wherever it does. */
const TEMPLATE_NAME = 'my-job'
/** A job's name, an npm package's and a stack's at once. */
const NAME = /^[a-z][a-z0-9-]{0,62}$/

interface Manifest {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

/** `millrace init`: a new project in `folder`, whose name becomes that of the job. Throws OPTION_INVALID when there is something in it already, STORAGE. */
export async function initCommand(folder: string): Promise<void> {
  const target = resolve(folder)
  const name = basename(target)
  if (!NAME.test(name)) {
    throw wrongCommandLine(
      `"${name}" cannot be the name of a job, a package and a stack`,
      'Name a folder by lower-case letters, digits and dashes, with a letter first: millrace init my-job',
    )
  }
  await mkdir(target, { recursive: true }).catch((cause: unknown) => {
    throw new MillraceError('STORAGE', {
      what: 'The folder cannot be made',
      where: target,
      todo: 'Name a folder that is no file, below one that is writable.',
      cause,
    })
  })
  const there = (await readdir(target)).filter((file) => file !== '.git')
  if (there.length > 0) {
    throw wrongCommandLine(`${target} is not empty: ${there.slice(0, 3).join(', ')}`, 'Name a new folder.')
  }
  await writeProject(target, name)
  printLines([
    `${target} holds a job that counts page views.`,
    '',
    ...(target === process.cwd() ? [] : [`  cd ${folder}`]),
    '  npm install',
    '  npm start              runs it here, on a file',
    '  npm test',
    '  npx cdk deploy         runs it on AWS (npx cdk bootstrap, once for an account)',
  ])
}

async function writeProject(target: string, name: string): Promise<void> {
  const own = createRequire(import.meta.url).resolve('millrace/package.json')
  await cp(join(dirname(own), 'templates', 'project'), target, { recursive: true })
  // npm leaves a file of that name out of a package.
  await rename(join(target, 'gitignore'), join(target, '.gitignore'))
  for (const file of ['job.ts', 'app.ts', 'package.json', 'README.md']) {
    const path = join(target, file)
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll(TEMPLATE_NAME, name))
  }
  const manifest = join(target, 'package.json')
  await writeFile(manifest, withVersions(await readFile(manifest, 'utf8'), JSON.parse(await readFile(own, 'utf8')) as Manifest))
}

/** Packages get the versions that this version of Millrace is tested with. */
function withVersions(text: string, { version, devDependencies }: Manifest): string {
  return text.replace(/"([^"]+)": ""/g, (_, name: string) => `"${name}": "${name === 'millrace' ? `^${version}` : devDependencies[name]}"`)
}
