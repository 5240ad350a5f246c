using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography.X509Certificates;
using Ka.Core.Certificates;
using Ka.Core.Faults;
using Ka.Core.Rights;

namespace Ka.Server.Identity;

/// <summary>
/// Certificates that people show (RFC 8446, 4.4.2): TLS has proved that the caller holds the key; whose it is says the subject's common name, when an
/// authority of the site has signed it for clients (RFC 5280, 4.2.1.12) and its time has not passed. Nothing is asked of the network.
/// </summary>
/// <param name="authority">PEM file of the authorities, read again for each certificate.</param>
public sealed class ClientCertificates(string authority, TimeProvider clock)
{
    const string ForClients = "1.3.6.1.5.5.7.3.2";

    /// <summary>The name of its holder, or why it proves none.</summary>
    public bool TryName(X509Certificate2 shown, [NotNullWhen(true)] out string? name, [NotNullWhen(false)] out Fault? fault)
    {
        name = shown.GetNameInfo(X509NameType.SimpleName, forIssuer: false);
        var why = !IsCommonName(shown, name) || !PartitionWords.IsUser(name) ? "its common name is no login name" : NotTrusted(shown);
        fault = why is null ? null : Fault.Of(FaultCodes.AuthMissing, $"the certificate is not taken: {why}");
        return why is null;
    }

    static bool IsCommonName(X509Certificate2 shown, string name) =>
        shown.SubjectName.EnumerateRelativeDistinguishedNames().Any(part => !part.HasMultipleElements && part.GetSingleElementType().Value == "2.5.4.3" && part.GetSingleElementValue() == name);

    string? NotTrusted(X509Certificate2 shown)
    {
        X509Certificate2Collection roots;
        try
        {
            roots = GivenRoots.Read(authority);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or System.Security.Cryptography.CryptographicException)
        {
            return $"the file of the site's authorities cannot be read ({e.Message})";
        }
        using var chain = GivenRoots.Chain(roots);
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationTime = clock.GetUtcNow().UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid(ForClients));
        return chain.Build(shown) ? null : string.Join("; ", chain.ChainStatus.Select(s => s.StatusInformation.Trim()).Distinct());
    }
}
