import { callSettings } from '../../backends/aws/call-settings.js'
import { withPackages } from '../../backends/aws/optional-package.js'

/**
 * Loads a client of the AWS SDK when it is needed: the SDK is an optional dependency, and most jobs in one process have no use for it.
 * Throws PACKAGE_MISSING.
 */
export function loadSdk<Sdk>(load: () => Promise<Sdk>): Promise<Sdk> {
  return withPackages('A connector to AWS', load, 'npm install')
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
