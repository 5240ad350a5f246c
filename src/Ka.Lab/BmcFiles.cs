namespace Ka.Lab;

/// <summary>What ipmi_sim reads, and the script by which it moves the machine. Pure text over plain paths.</summary>
public static class BmcFiles
{
    public const string Program = "ipmi_sim";
    public const string User = "admin";

    public static string Lan(LabPlaces places, Machine machine, string password) => $"""
        name "{machine.Name}"
        set_working_mc 0x20
          startlan 1
            addr {machine.BmcAddress} 623
            priv_limit admin
            allowed_auths_callback none md2 md5 straight
            allowed_auths_user none md2 md5 straight
            allowed_auths_operator none md2 md5 straight
            allowed_auths_admin none md2 md5 straight
            guid 6b61000000000000000000000000{machine.Number:x4}
          endlan
          chassis_control "{places.ChassisScript} {machine.Number}"
          user 1 false "" "" user 10 none md2 md5 straight
          user 2 true "{User}" "{password}" admin 10 none md2 md5 straight

        """;

    public static string Emulation() => """
        mc_setbmc 0x20
        mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
        sel_enable 0x20 1000 0x0a
        mc_enable 0x20

        """;

    /// <summary>
    /// ipmi_sim calls this as "SCRIPT NODE get power" before nearly every answer, so that case is answered by the shell at
    /// once; everything else is handed to ka-lab.
    /// </summary>
    public static string Script(LabPlaces places, string kaLab) => $"""
        #!/bin/sh
        # Written by ka-lab: a BMC's hands on its machine.
        node=$1
        shift
        if [ "$*" = "get power" ]; then
            pidfile={places.State}/node$node/qemu.pid
            read -r pid 2>/dev/null <"$pidfile"
            if [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$pidfile"; then
                echo power:1
            else
                echo power:0
            fi
            exit 0
        fi
        exec {kaLab} chassis --name {places.Name} --state {places.State} "$node" "$@"

        """;
}
