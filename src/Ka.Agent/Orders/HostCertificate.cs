using Ka.Agent.Machine;
using Ka.Core.Faults;
using Ka.Protocol.Agents;

namespace Ka.Agent.Orders;

/// <summary>Carries out <see cref="InstallHostCertificate"/>.</summary>
static class HostCertificate
{
    const string Certificate = "/etc/ssh/ssh_host_ed25519_key-cert.pub";
    const string Configuration = "/etc/ssh/sshd_config";
    const string DropIn = "/etc/ssh/sshd_config.d/ka.conf";
    const string Line = "HostCertificate " + Certificate;

    public static OrderOutcome Run(InstallHostCertificate order, OrderContext context)
    {
        var target = context.Paths.Target;
        if (order.Certificate.Any(char.IsControl))
        {
            return Fault.Of(FaultCodes.AgentProtocol, "A certificate is one line.");
        }
        try
        {
            // Another ssh server knows no certificates, and a configuration that takes nothing in is not Ka's to write: the plain host key
            // is known all the same.
            if (TargetPath.Read(target, Configuration) is not { } configuration || !Includes(configuration))
            {
                return OrderOutcome.Found(("hostCertificate", "no"));
            }
            TargetPath.Write(target, Certificate, order.Certificate + "\n", TargetPath.PublicFile, force: true);
            TargetPath.Write(target, DropIn, Line + "\n", TargetPath.PublicFile, force: true);
            return OrderOutcome.Found(("hostCertificate", "yes"), ("files", $"{Certificate}\n{DropIn}"));
        }
        catch (IOException e)
        {
            return Fault.Of(FaultCodes.DiskIoError, "The host certificate could not be written into the target.", e.Message);
        }
    }

    /// <summary>Whether the configuration takes in the directory of the drop-in, as Debian's does since release 11.</summary>
    static bool Includes(string configuration) => configuration.Split('\n').Any(line =>
        line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries) is ["Include" or "include", .. var patterns] && patterns.Contains("/etc/ssh/sshd_config.d/*.conf"));
}
