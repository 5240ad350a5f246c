using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Ka.Server.Configuration;
using Ka.Server.Hosting;

namespace Ka.Server.Identity;

/// <summary>The certificate of the TLS listeners for people: the site's own, or one that the server makes for its addresses and signs itself.</summary>
static class UserCertificate
{
    /// <summary>Of a self-signed certificate; afterwards the next start makes a new one.</summary>
    const int Years = 5;

    /// <exception cref="IOException">A file cannot be read or written.</exception>
    /// <exception cref="CryptographicException">A file is no certificate.</exception>
    public static X509Certificate2 Open(SiteConfiguration configuration, DateTimeOffset now)
    {
        if (configuration.Auth.Certificate is { } site)
        {
            using var pem = X509Certificate2.CreateFromPemFile(site, configuration.Auth.Key);
            return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        }
        var path = Path.Combine(configuration.StateDirectory, "users.pfx");
        var addresses = configuration.Users.Select(u => u.EndPoint?.Address).OfType<IPAddress>().Distinct().ToArray();
        if (File.Exists(path) && !Fits(path, addresses, now))
            File.Delete(path);
        var certificate = X509CertificateLoader.LoadPkcs12(ServerSecrets.ReadOrMake(path, () => Make(addresses, now)), null);
        File.WriteAllText(Path.Combine(configuration.StateDirectory, "users.pem"), certificate.ExportCertificatePem());
        return certificate;
    }

    static bool Fits(string path, IPAddress[] addresses, DateTimeOffset now)
    {
        using var certificate = X509CertificateLoader.LoadPkcs12FromFile(path, null);
        return certificate.NotAfter > now.LocalDateTime
            && addresses.All(a => certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().Any(e => e.EnumerateIPAddresses().Contains(a)));
    }

    static byte[] Make(IPAddress[] addresses, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={Environment.MachineName}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(Environment.MachineName);
        foreach (var address in addresses)
            names.AddIpAddress(address);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], false));
        using var certificate = request.CreateSelfSigned(now.AddHours(-1), now.AddYears(Years));
        return certificate.Export(X509ContentType.Pkcs12);
    }
}
