import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { mockClient } from 'aws-sdk-client-mock'
import { buildSync } from 'esbuild'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { logError } from '../../functions/function-log.js'
import { loadSecrets } from '../../functions/load-secrets.js'
import { mappedStack } from '../../functions/mapped-stack.js'
import { MillraceError } from '../../runtime/core/index.js'

describe('logError', () => {
  it('writes an error as one line of JSON', () => {
    const [line] = logged(new MillraceError('FRAME_CORRUPT', { what: 'a frame\nis damaged' }))
    expect(JSON.parse(line)).toMatchObject({ level: 'ERROR', Job: 'j', Stage: 's', code: 'FRAME_CORRUPT' })
    expect(JSON.parse(line).stack).toContain('function-log.test.ts')
    expect(line).not.toContain('\n')
  })

  it('does not call a batch that has to wait an error', () => {
    const [line] = logged(new MillraceError('BATCH_REFUSED', { what: 'not yet' }))
    expect(JSON.parse(line)).toEqual({ level: 'INFO', Job: 'j', Stage: 's', code: 'BATCH_REFUSED', message: 'BATCH_REFUSED: not yet' })
  })

  it('takes whatever is thrown', () => {
    expect(JSON.parse(logged('words')[0])).toMatchObject({ level: 'ERROR', message: 'words' })
  })
})

describe('mappedStack', () => {
  it('names the places where bundled code was written', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    writeFileSync(
      join(folder, 'job.ts'),
      ['interface A {}', '', 'function fails(a?: A): never {', '  throw new Error(String(a))', '}', 'fails()'].join('\n'),
    )
    const out = join(folder, 'out.mjs')
    buildSync({ entryPoints: [join(folder, 'job.ts')], outfile: out, format: 'esm', minify: true, sourcemap: 'linked' })
    const { stderr } = spawnSync(process.execPath, [out], { encoding: 'utf8' })
    expect(stderr).toMatch(/at .*out\.mjs:1:/)
    expect(mappedStack(stderr)).toContain('job.ts:4:9')
    expect(mappedStack('at file:///no/such/file.mjs:1:2')).toBe('at file:///no/such/file.mjs:1:2')
  })
})

describe('loadSecrets', () => {
  const secrets: Record<string, string> = { 'arn:whole': 'hush', 'arn:fields': '{"password":"p","port":5432}' }
  const load = async (named: object, read = async (arn: string): Promise<string | undefined> => secrets[arn]) => {
    const variables: Record<string, string | undefined> = { MILLRACE_SECRETS: JSON.stringify(named) }
    await loadSecrets(variables, read)
    return variables
  }

  it('puts secrets, or fields of them, into variables, and reads each once', async () => {
    const asked: string[] = []
    const read = async (arn: string) => {
      asked.push(arn)
      return secrets[arn]
    }
    const named = { TOKEN: { arn: 'arn:whole' }, PASSWORD: { arn: 'arn:fields', field: 'password' }, PORT: { arn: 'arn:fields', field: 'port' } }
    expect(await load(named, read)).toMatchObject({ TOKEN: 'hush', PASSWORD: 'p', PORT: '5432' })
    expect(asked).toEqual(['arn:whole', 'arn:fields'])
  })

  it('asks Secrets Manager, and says which secret it does not give', async () => {
    const manager = mockClient(SecretsManagerClient)
    onTestFinished(() => manager.restore())
    vi.stubEnv('AWS_REGION', 'eu-central-1')
    onTestFinished(() => void vi.unstubAllEnvs())
    manager.on(GetSecretValueCommand, { SecretId: 'arn:whole' }).resolves({ SecretString: 'hush' })
    manager.on(GetSecretValueCommand, { SecretId: 'arn:kept' }).rejects(Object.assign(new Error('no'), { name: 'AccessDeniedException' }))
    const variables: Record<string, string | undefined> = { MILLRACE_SECRETS: '{"TOKEN":{"arn":"arn:whole"}}' }
    await loadSecrets(variables)
    expect(variables.TOKEN).toBe('hush')
    await expect(loadSecrets({ MILLRACE_SECRETS: '{"TOKEN":{"arn":"arn:kept"}}' })).rejects.toThrow(
      /AWS_CALL: GetSecretValue failed with AccessDeniedException[\s\S]*arn:kept/,
    )
  })

  it('says which variable cannot be had, and nothing of the secret', async () => {
    await expect(load({ A: { arn: 'arn:fields', field: 'user' } })).rejects.toThrow(
      /OPTION_INVALID: .*variable A .*no JSON object with a field "user"/,
    )
    const error = await load({ A: { arn: 'arn:whole', field: 'user' } }).catch((thrown: Error) => thrown)
    expect(String(error)).not.toContain('hush')
    await expect(load({ A: { arn: 'arn:none' } })).rejects.toThrow(/holds bytes/)
  })
})

function logged(error: unknown): string[] {
  const lines: string[] = []
  logError(error, { Job: 'j', Stage: 's' }, (line) => lines.push(line))
  return lines
}
