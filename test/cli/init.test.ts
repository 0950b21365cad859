import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { initCommand } from '../../cli/init-command.js'
import { tempFolder } from '../backends/temp-folder.js'

const own = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string; devDependencies: Record<string, string>; peerDependencies: object }

let folder: string
beforeEach(async () => {
  folder = await tempFolder()
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
})
afterEach(() => {
  vi.restoreAllMocks()
})

describe('millrace init', () => {
  it('writes a project whose parts have the name of its folder', async () => {
    const project = join(folder, 'page-views')
    await initCommand(project)
    expect(readdirSync(project).sort()).toEqual([
      '.gitignore',
      'README.md',
      'app.ts',
      'cdk.json',
      'job.ts',
      'package.json',
      'sample',
      'test',
      'tsconfig.json',
    ])
    expect(readFileSync(join(project, 'job.ts'), 'utf8')).toContain("defineJob('page-views'")
    expect(readFileSync(join(project, 'app.ts'), 'utf8')).toContain("new Stack(new App(), 'page-views')")
    for (const file of ['job.ts', 'app.ts', 'package.json', 'README.md', 'test/job.test.ts']) {
      expect(readFileSync(join(project, file), 'utf8')).not.toContain('my-job')
    }
  })

  it('asks for the versions that this one is tested with, and for every package that deploying takes', async () => {
    const project = join(folder, 'a')
    await initCommand(project)
    const { name, dependencies, devDependencies } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
    expect(name).toBe('a')
    expect(dependencies).toEqual({ millrace: `^${own.version}` })
    for (const [dependency, version] of Object.entries(devDependencies as Record<string, string>)) {
      expect(version, dependency).toMatch(/^\d+\.\d+\.\d+$/)
      if (dependency in own.devDependencies) expect(version, dependency).toBe(own.devDependencies[dependency])
    }
    expect(Object.keys(devDependencies)).toEqual(expect.arrayContaining(Object.keys(own.peerDependencies)))
  })

  it('writes nothing where there is something, but for a repository that was just made', async () => {
    const project = join(folder, 'there')
    mkdirSync(project)
    writeFileSync(join(project, 'notes.txt'), 'mine')
    await expect(initCommand(project)).rejects.toThrow(/not empty: notes\.txt/)
    expect(readdirSync(project)).toEqual(['notes.txt'])
    rmSync(join(project, 'notes.txt'))
    mkdirSync(join(project, '.git'))
    await initCommand(project)
    expect(readdirSync(project)).toContain('job.ts')
  })

  it('says so where there can be no folder', async () => {
    writeFileSync(join(folder, 'file'), '')
    await expect(initCommand(join(folder, 'file'))).rejects.toMatchObject({ code: 'STORAGE' })
  })

  it('refuses a name that a package or a stack cannot have', async () => {
    await expect(initCommand(join(folder, 'My Job'))).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(readdirSync(folder)).toEqual([])
  })
})
