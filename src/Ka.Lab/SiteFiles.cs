using System.Globalization;
using System.Text;

namespace Ka.Lab;

/// <summary>The site configuration that makes kad serve a lab. Pure text; every value is plain by construction.</summary>
public static class SiteFiles
{
    public static string Site(LabPlaces places, LabFacts facts) => $$"""
        # Written by ka-lab; made anew at each 'ka-lab up'.
        server:
          name: {{places.Name}}
          state: {{places.KadState}}
          users: ["unix:{{places.KadSocket}}"]
          nodes: { address: 10.77.0.1, http: 8480, agent: 8481, chain: 8482 }
        boot:
          dhcp: full
          interface: br0
          network: 10.77.0.0/24
          loaders: /usr/lib/ipxe
        minimal:
          directory: {{facts.Minimal}}
          params: "console=ttyS0,115200 quiet panic=10"
        clusters: [clusters/lab.yaml]

        """;

    /// <param name="kaLab">Path of ka-lab, whose <c>console</c> is the nodes' serial line.</param>
    public static string Cluster(LabPlaces places, LabFacts facts, string kaLab)
    {
        var text = new StringBuilder("# Written by ka-lab; made anew at each 'ka-lab up'.\ncluster: lab\nnodes:\n");
        foreach (var machine in facts.Machines)
        {
            text.Append(CultureInfo.InvariantCulture,
                $"  {machine.Name}: {{ mac: \"{machine.Mac}\", address: {machine.Address}, power: {{ host: {machine.BmcAddress} }} }}\n");
        }

        var uefi = facts.Machines.Where(machine => machine.IsUefi).Select(machine => machine.Number).ToList();
        var all = uefi.Count == facts.Machines.Count;
        var secure = facts.Machines.All(machine => machine.Firmware == Firmware.UefiSecure);
        if (uefi.Count > 0 && !all)
        {
            var nodes = uefi.Count == 1 ? $"node{uefi[0]}" : $"node[{uefi[0]}-{uefi[^1]}]";
            text.Append(CultureInfo.InvariantCulture, $"groups:\n  uefi: {{ nodes: \"{nodes}\", firmware: uefi }}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $$"""
            defaults:
              firmware: {{Spelling.Of(all ? Firmware.Uefi : Firmware.Bios)}}
              secureBoot: {{(secure ? "true" : "false")}}
              power: { kind: ipmi, user: {{BmcFiles.User}}, passwordFile: {{places.BmcPassword}}, cipher: 3 }
              console: [{{kaLab}}, console, --name, {{places.Name}}, --state, {{places.State}}, "{node}"]
              disk:
                select: { minSize: 1GiB }
                layout:
                  table: gpt
                  partitions:
                    - { name: bios, size: 1MiB, type: bios-boot }
                    - { name: esp, size: 64MiB, type: esp, filesystem: vfat }
                    - { name: root, size: rest, type: linux, filesystem: ext4, deploy: true }
              params: "console=ttyS0,115200 net.ifnames=0"

            """);
        return text.ToString();
    }
}
