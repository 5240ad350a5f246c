using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Ka.Protocol.Rest;
using Ka.Server.Identity;
using Ka.Tests.Cli;

namespace Ka.Tests.Server;

/// <summary>An authority that signs certificates of people.</summary>
public sealed class TestAuthority
{
    public const string ForClients = "1.3.6.1.5.5.7.3.2", ForServers = "1.3.6.1.5.5.7.3.1";

    public TestAuthority()
    {
        var request = new CertificateRequest("CN=a test's authority", ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        Certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-10), DateTimeOffset.UtcNow.AddDays(10));
    }

    public X509Certificate2 Certificate { get; }

    /// <param name="days">From now until it is over; negative when it is.</param>
    public X509Certificate2 Sign(string subject, string purpose = ForClients, int days = 1, IPAddress? address = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], critical: false));
        if (address is not null)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddIpAddress(address);
            request.CertificateExtensions.Add(names.Build());
        }
        using var signed = request.Create(Certificate, DateTimeOffset.UtcNow.AddDays(-5), DateTimeOffset.UtcNow.AddDays(days), RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }
}

/// <summary>People who prove by a certificate who they are.</summary>
public sealed class ShowingCertificates(RunningServer server) : IClassFixture<RunningServer>
{
    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_certificate_of_the_sites_authority_is_the_name_in_it()
    {
        using var http = server.Remote(null, server.Authority.Sign("O=cluster, CN=olga"));
        var who = JsonSerializer.Deserialize(await http.GetStringAsync("whoami", Cancel), RestJson.Default.WhoReply)!;
        Assert.Equal(("olga", "operator"), (who.Name, who.Role));
        Assert.StartsWith("certificate ", who.By, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_header_proves_goes_before_the_certificate()
    {
        using var http = server.Remote(new("Bearer", "ka_wrong"), server.Authority.Sign("CN=olga"));
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("whoami", Cancel)).StatusCode);
    }

    public static TheoryData<string, string, int, bool> Bad => new()
    {
        { "CN=root", TestAuthority.ForClients, 1, true },
        { "CN=root", TestAuthority.ForClients, -1, false },
        { "CN=root", TestAuthority.ForServers, 1, false },
        { "CN=@admins", TestAuthority.ForClients, 1, false },
        { "CN=*", TestAuthority.ForClients, 1, false },
        { "O=root", TestAuthority.ForClients, 1, false },
        { "CN=\"root; rm\"", TestAuthority.ForClients, 1, false },
    };

    [Theory, MemberData(nameof(Bad))]
    public async Task Any_other_certificate_is_nobodys(string subject, string purpose, int days, bool isForeign)
    {
        using var shown = (isForeign ? new TestAuthority() : server.Authority).Sign(subject, purpose, days);
        Assert.False(new ClientCertificates(server.PathOf("authority.pem"), TimeProvider.System).TryName(shown, out _, out var fault));
        Assert.StartsWith("the certificate is not taken: ", fault!.Message, StringComparison.Ordinal);
        using var http = server.Remote(null, shown);
        Assert.Equal(HttpStatusCode.Unauthorized, (await http.GetAsync("whoami", Cancel)).StatusCode);
    }

    [Fact]
    public async Task Ka_shows_a_certificate_from_files()
    {
        using var olga = server.Authority.Sign("CN=olga");
        var (file, key) = (server.PathOf("olga.pem"), server.PathOf("olga.key"));
        await File.WriteAllTextAsync(file, olga.ExportCertificatePem(), Cancel);
        await File.WriteAllTextAsync(key, olga.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem(), Cancel);
        string[] to = ["-S", server.WithoutToken.BaseAddress!.GetLeftPart(UriPartial.Authority), "--ca", server.PathOf("state/users.pem")];
        var told = await InProcess.RunAsync([.. to, "--certificate", file, "--certificate-key", key, "whoami"]);
        Assert.True(told.Status == 0 && told.Output.Contains("olga  role operator  by certificate", StringComparison.Ordinal), told.Output + told.Errors);
        var none = await InProcess.RunAsync([.. to, "--certificate", key, "whoami"]);
        Assert.Equal(77, none.Status);
        Assert.Contains("are no certificate with its key", none.Errors, StringComparison.Ordinal);
    }
}
