using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Ka.Agent.Session;

/// <summary>The server is recognised by its certificate's SHA-256 alone: the clock may be wrong and there is no authority in the minimal environment.</summary>
static class PinnedCertificate
{
    public static bool Matches(X509Certificate? certificate, string fingerprint) =>
        certificate is not null
        && CryptographicOperations.FixedTimeEquals(SHA256.HashData(certificate.GetRawCertData()), Convert.FromHexString(fingerprint));
}
