import { callSettings } from '../../backends/aws/call-settings.js'
import { MillraceError } from '../../core/index.js'

/**
 * Loads a client of the AWS SDK when it is needed: the SDK is an optional dependency, and most jobs in one process have no use for it.
 * Throws AWS_SDK_MISSING.
 */
export async function loadSdk<Sdk>(name: string, load: () => Promise<Sdk>): Promise<Sdk> {
  try {
    return await load()
  } catch (cause) {
    if (!isMissing(cause, name)) throw cause
    throw new MillraceError('AWS_SDK_MISSING', { what: `${name} is not installed`, todo: `Run: npm install ${name}`, cause })
  }
}

function isMissing(thrown: unknown, name: string): boolean {
  const { code, message } = (thrown ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  return (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && String(message).includes(name)
}

/**
 * What a connector's client is made with. Region, credentials and endpoint are the SDK's business: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and
 * their like. HTTP/1.1 where its handler can be found (it comes with the SDK), for Kinesis too, whose own choice would be HTTP/2: servers that
 * stand in for AWS hardly know that.
 */
export async function clientSettings() {
  const settings = callSettings()
  try {
    const { NodeHttpHandler } = await import('@smithy/node-http-handler')
    return { ...settings, requestHandler: new NodeHttpHandler(settings.requestHandler) }
  } catch {
    return settings
  }
}
