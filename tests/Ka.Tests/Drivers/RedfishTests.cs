using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Ka.Core.Clusters;
using Ka.Drivers.Power;
using Ka.Lab;
using Ka.Simulation;

namespace Ka.Tests.Drivers;

/// <summary>The Redfish driver by TLS on loopback against the lab's simulated BMC.</summary>
public sealed class RedfishTests : IAsyncDisposable
{
    readonly TemporaryDirectory _directory = new();
    readonly X509Certificate2 _certificate = SelfSigned();
    readonly RedfishSimulator _bmc = new("admin", "secret");
    readonly RedfishListener _listener;

    static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public RedfishTests()
    {
        _directory.Write("password", "secret\n");
        _listener = new RedfishListener(new IPEndPoint(IPAddress.Loopback, 0), _certificate, _bmc);
    }

    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync();
        _certificate.Dispose();
        _directory.Dispose();
    }

    static X509Certificate2 SelfSigned()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=bmc", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        return X509CertificateLoader.LoadPkcs12(request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1)).Export(X509ContentType.Pkcs12), null);
    }

    string Pin => _certificate.GetCertHashString(HashAlgorithmName.SHA256).ToLowerInvariant();

    ClusterNode Node(Func<PowerSettings, PowerSettings>? change = null)
    {
        var settings = new PowerSettings("redfish", "127.0.0.1", _listener.EndPoint.Port, "admin", _directory["password"], 17, ImmutableDictionary<string, ImmutableArray<string>>.Empty) { Fingerprint = Pin };
        return SimulatedDeployment.SampleCluster(["gris-1"]).Nodes[0] with { Power = change?.Invoke(settings) ?? settings };
    }

    static Task<PowerReply> AskAsync(ClusterNode node, PowerVerb verb) => new RedfishPower(TimeProvider.System).AskAsync(node, verb, Cancel);

    [Fact]
    public async Task It_switches_resets_and_looks_over_tls_with_the_pinned_certificate()
    {
        Assert.Equal(new PowerReply(null, false), await AskAsync(Node(), PowerVerb.Status));
        Assert.Null((await AskAsync(Node(), PowerVerb.On)).Fault);
        Assert.Equal(new PowerReply(null, true), await AskAsync(Node(s => s with { System = "1" }), PowerVerb.Status));
        foreach (var verb in (PowerVerb[])[PowerVerb.On, PowerVerb.Reset, PowerVerb.SoftOff, PowerVerb.Off])
            Assert.Null((await AskAsync(Node(), verb)).Fault);
        // What holds already is not asked for again.
        Assert.Equal(["On", "ForceRestart", "GracefulShutdown"], _bmc.Changes);
    }

    [Fact]
    public async Task The_next_boot_from_the_network_counts_when_it_is_read_back()
    {
        Assert.Null((await AskAsync(Node(), PowerVerb.BootNetwork)).Fault);
        Assert.Equal("Pxe", _bmc.BootOnce);
        Assert.Null((await AskAsync(Node(), PowerVerb.On)).Fault);
        Assert.Equal("None", _bmc.BootOnce);
    }

    [Fact]
    public void A_boot_override_that_is_taken_and_not_kept_is_found_out()
    {
        _bmc.Manner = RedfishManner.Lies;
        var (reply, elapsed) = VirtualStrand.Run(clock =>
            new RedfishPower(clock, _ => new PowerRigs.SimulatedBmc(_bmc, new Machine(Counterpart.Lies, clock))).AskAsync(Node(), PowerVerb.BootNetwork, CancellationToken.None));
        Assert.Equal("power.no_effect", reply.Fault?.Code.Text);
        Assert.Equal(["Boot:Pxe"], _bmc.Changes);
        Assert.Equal(TimeSpan.FromSeconds(5), elapsed);
    }

    [Fact]
    public async Task A_certificate_is_believed_when_it_is_the_pinned_one_or_of_the_named_authority_and_else_never()
    {
        Assert.Equal("power.bmc_untrusted", (await AskAsync(Node(s => s with { Fingerprint = null }), PowerVerb.Status)).Fault?.Code.Text);
        Assert.Equal("power.bmc_untrusted", (await AskAsync(Node(s => s with { Fingerprint = new string('0', 64) }), PowerVerb.Status)).Fault?.Code.Text);
        Assert.Equal(0, _bmc.Requests);
        _directory.Write("authority.pem", _certificate.ExportCertificatePem());
        Assert.Null((await AskAsync(Node(s => s with { Fingerprint = null, AuthorityFile = _directory["authority.pem"] }), PowerVerb.Status)).Fault);
        using var other = SelfSigned();
        _directory.Write("other.pem", other.ExportCertificatePem());
        Assert.Equal("power.bmc_untrusted", (await AskAsync(Node(s => s with { Fingerprint = null, AuthorityFile = _directory["other.pem"] }), PowerVerb.Status)).Fault?.Code.Text);
    }

    [Theory]
    [InlineData(RedfishManner.RefusesCredential, "power.bmc_credential")]
    [InlineData(RedfishManner.Fails, "power.refused")]
    [InlineData(RedfishManner.Garbage, "power.refused")]
    [InlineData(RedfishManner.Endless, "power.refused")]
    [InlineData(RedfishManner.Redirects, "power.refused")]
    public async Task What_a_bmc_answers_that_is_no_answer_is_a_fault_after_one_request(RedfishManner manner, string code)
    {
        _bmc.Manner = manner;
        Assert.Equal(code, (await AskAsync(Node(), PowerVerb.On)).Fault?.Code.Text);
        Assert.Equal(1, _bmc.Requests);
        Assert.Empty(_bmc.Changes);
    }

    [Fact]
    public async Task A_wrong_password_and_an_absent_password_file_are_told_from_silence()
    {
        _directory.Write("wrong", "guess");
        Assert.Equal("power.bmc_credential", (await AskAsync(Node(s => s with { PasswordFile = _directory["wrong"] }), PowerVerb.Status)).Fault?.Code.Text);
        Assert.Equal("power.bmc_credential", (await AskAsync(Node(s => s with { PasswordFile = _directory["absent"] }), PowerVerb.Status)).Fault?.Code.Text);
        await _listener.DisposeAsync();
        Assert.Equal("power.bmc_unreachable", (await AskAsync(Node(), PowerVerb.Status)).Fault?.Code.Text);
    }

    [Fact]
    public async Task A_kind_of_reset_that_the_bmc_does_not_know_is_not_asked_for()
    {
        _bmc.IsOn = true;
        _bmc.ResetTypes = ["On", "ForceOff", "PowerCycle"];
        Assert.Equal("power.unsupported", (await AskAsync(Node(), PowerVerb.SoftOff)).Fault?.Code.Text);
        Assert.Null((await AskAsync(Node(), PowerVerb.Reset)).Fault);
        Assert.Equal(["PowerCycle"], _bmc.Changes);
    }
}
