using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Ka.Core.Certificates;

/// <summary>Certificates are believed under the roots of a file, and under no other.</summary>
public static class GivenRoots
{
    /// <summary>A chain to build; nothing is asked of the network.</summary>
    public static X509Chain Chain(X509Certificate2Collection roots)
    {
        var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(roots);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain;
    }

    /// <summary>Whether what a server presented is one of the roots or signed by one, and of the name that was called.</summary>
    public static bool Believe(X509Certificate2Collection roots, X509Certificate? presented, SslPolicyErrors errors)
    {
        if (presented is null || errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            return false;
        using var chain = Chain(roots);
        return chain.Build(X509CertificateLoader.LoadCertificate(presented.GetRawCertData()));
    }

    /// <exception cref="System.Security.Cryptography.CryptographicException">The text is no PEM.</exception>
    public static X509Certificate2Collection Parse(string pem)
    {
        var roots = new X509Certificate2Collection();
        roots.ImportFromPem(pem);
        return roots;
    }

    /// <exception cref="System.Security.Cryptography.CryptographicException">The file is no PEM.</exception>
    public static X509Certificate2Collection Read(string path)
    {
        var roots = new X509Certificate2Collection();
        roots.ImportFromPemFile(path);
        return roots;
    }
}
